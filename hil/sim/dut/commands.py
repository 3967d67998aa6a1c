"""The commands of the simulated DUT's shell."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from hil.sim.dut.power_draw import DRAW_AMPS, DutPhase
from hil.sim.dut.script import Steps

if TYPE_CHECKING:
    from hil.sim.dut.wire import WireEnd
    from hil.sim.interfaces import BlockStore

__all__ = ["COMMANDS", "Command", "RunningSystem", "printf", "run"]

NOT_FOUND: Final = 127
WRONG_USE: Final = 2

_DISK: Final = "/dev/sda"
_SLICE_BYTES: Final = 1 << 20
_SLICE_S: Final = 0.001
"""Pause between two slices of the stick, in which other tasks run. A slice takes a few ms of real time."""

_WIRE_S: Final = 5.0
_WIRE_LOOK_S: Final = 0.05
_LONGEST_S: Final = 86400.0
_MOST_AMPS: Final = 5.0

_UNAME: Final = {
    "s": "Linux",
    "n": "hil-dut",
    "r": "6.1.0-hil",
    "v": "#1 SMP PREEMPT",
    "m": "aarch64",
    "o": "GNU/Linux",
}
"""What `uname` answers to each of its letters, in its order; the release is the boot log's."""

_HELP: Final = """\
cat FILE                       /etc/image is what this system was booted from
dmesg                          the boot log again
echo TEXT                      $? is the status of the command before
eval COMMAND                   as in any shell; a; b runs both
printf FORMAT WORD ...         %s, %d, %b, and escapes
false, true                    status 1, status 0
help                           this
load SECONDS [AMPS]            draw power
poweroff, reboot               in an orderly way
sha256sum /dev/sda [BYTES]     of the stick, or of its first bytes
sleep SECONDS                  wait
uname [-asnrvmo]               which system this is
wire send TEXT                 to all other DUTs of this bench whose system is up
wire receive [SECONDS]         wait for a line of another DUT, 5 s or SECONDS
"""


class RunningSystem(Protocol):
    """The running system as commands see it."""

    @property
    def identity(self) -> str:
        """Identity of the image that it was booted from."""
        ...

    @property
    def stick(self) -> BlockStore | None:
        """The stick, or None if the mux does not connect it to the DUT."""
        ...

    @property
    def wire(self) -> WireEnd:
        """The wire to other DUTs."""
        ...

    @property
    def boot_log(self) -> str:
        """The kernel's log so far."""
        ...

    def load(self, amps: float | None) -> None:
        """Draw `amps` from now on; None ends the load."""
        ...

    def shut_down(self, *, restart: bool) -> None:
        """Begin to shut down. This ends the shell that called it."""
        ...


Command = Callable[[RunningSystem, list[str]], Steps[int]]
"""A command: it yields output and pauses, and returns its exit status."""


def run(system: RunningSystem, words: list[str]) -> Steps[int]:
    """Run a command given as words. No words are no command and succeed."""
    if not words:
        return 0
    command = COMMANDS.get(words[0])
    if command is None:
        yield f"sh: {words[0]}: not found\r\n"
        return NOT_FOUND
    return (yield from command(system, words[1:]))


def _cat(system: RunningSystem, args: list[str]) -> Steps[int]:
    status = 0
    for path in args:
        if path == "/etc/image":
            yield f"{system.identity}\r\n"
        else:
            yield f"cat: can't open '{path}': No such file or directory\r\n"
            status = 1
    return status


def _dmesg(system: RunningSystem, _: list[str]) -> Steps[int]:
    yield system.boot_log
    return 0


def _echo(_: RunningSystem, args: list[str]) -> Steps[int]:
    yield " ".join(args) + "\r\n"
    return 0


def _false(_: RunningSystem, __: list[str]) -> Steps[int]:
    yield from ()
    return 1


def _true(_: RunningSystem, __: list[str]) -> Steps[int]:
    yield from ()
    return 0


def _help(_: RunningSystem, __: list[str]) -> Steps[int]:
    yield _HELP.replace("\n", "\r\n")
    return 0


def _load(system: RunningSystem, args: list[str]) -> Steps[int]:
    seconds = _number(args[0], _LONGEST_S) if args else None
    amps = _number(args[1], _MOST_AMPS) if args[1:] else DRAW_AMPS[DutPhase.LOAD]
    if seconds is None or amps is None:
        yield f"usage: load SECONDS [AMPS], up to {_MOST_AMPS:.0f} A\r\n"
        return WRONG_USE
    system.load(amps)
    try:
        yield seconds
    finally:
        system.load(None)
    return 0


def _poweroff(system: RunningSystem, _: list[str]) -> Steps[int]:
    yield from ()
    system.shut_down(restart=False)
    return 0


def _reboot(system: RunningSystem, _: list[str]) -> Steps[int]:
    yield from ()
    system.shut_down(restart=True)
    return 0


def _sleep(_: RunningSystem, args: list[str]) -> Steps[int]:
    seconds = _number(args[0], _LONGEST_S) if args else None
    if seconds is None:
        yield "usage: sleep SECONDS\r\n"
        return WRONG_USE
    yield seconds
    return 0


def _sha256sum(system: RunningSystem, args: list[str]) -> Steps[int]:
    length = _number(args[1], math.inf) if args[1:] else math.inf
    if not args or length is None:
        yield f"usage: sha256sum {_DISK} [BYTES]\r\n"
        return WRONG_USE
    stick = system.stick
    if args[0] != _DISK or stick is None:
        yield f"sha256sum: can't open '{args[0]}': No such file or directory\r\n"
        return 1
    try:
        digest = yield from _digest(system, stick, int(min(length, stick.size_bytes)))
    except OSError:
        yield f"sha256sum: {_DISK}: I/O error\r\n"
        return 1
    yield f"{digest}  {_DISK}\r\n"
    return 0


def _digest(system: RunningSystem, stick: BlockStore, length: int) -> Steps[str]:
    digest = hashlib.sha256()
    for offset in range(0, length, _SLICE_BYTES):
        if system.stick is not stick:
            raise OSError
        digest.update(stick.read(offset, min(_SLICE_BYTES, length - offset)))
        yield _SLICE_S
    return digest.hexdigest()


def _uname(_: RunningSystem, args: list[str]) -> Steps[int]:
    letters = "".join(word.removeprefix("-") for word in args) or "s"
    if unknown := set(letters) - {*_UNAME, "a"}:
        yield f"uname: unknown option: {min(unknown)}\r\n"
        return WRONG_USE
    yield " ".join(value for letter, value in _UNAME.items() if letter in letters or "a" in letters) + "\r\n"
    return 0


def _wire(system: RunningSystem, args: list[str]) -> Steps[int]:
    limit_s = _number(args[1], _LONGEST_S) if args[1:] else _WIRE_S
    if args[:1] == ["send"] and args[1:]:
        if system.wire.send(" ".join(args[1:])):
            return 0
        yield "wire: no other DUT is up\r\n"
        return 1
    if args[:1] != ["receive"] or limit_s is None:
        yield "usage: wire send TEXT, or wire receive [SECONDS]\r\n"
        return WRONG_USE
    for _ in range(math.ceil(limit_s / _WIRE_LOOK_S)):
        if system.wire.received:
            break
        yield _WIRE_LOOK_S
    if not system.wire.received:
        yield f"wire: nothing came for {limit_s:g} s\r\n"
        return 1
    yield f"{system.wire.received.popleft()}\r\n"
    return 0


def _number(word: str, most: float) -> float | None:
    """Parse a number from 0 to `most`; return None if the word is none."""
    try:
        number = float(word)
    except ValueError:
        return None
    return number if 0 <= number <= most else None


COMMANDS: Final[dict[str, Command]] = {
    "cat": _cat,
    "dmesg": _dmesg,
    "echo": _echo,
    "false": _false,
    "help": _help,
    "load": _load,
    "poweroff": _poweroff,
    "reboot": _reboot,
    "sha256sum": _sha256sum,
    "sleep": _sleep,
    "true": _true,
    "uname": _uname,
    "wire": _wire,
}

_ESCAPE: Final = re.compile(r"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_NAMED: Final = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92}
_PIECE: Final = re.compile(r"%[sdb%]|\\[0-7]{1,3}|\\.|[^%\\]+|[%\\]", re.DOTALL)


def printf(form: str, words: list[str]) -> str:
    """Return the output, as in POSIX, with `%s`, `%d`, `%b` and `%%`.

    The format is used again while words are left.
    """
    output = b""
    left = list(words)
    while True:
        before = len(left)
        for piece in _PIECE.findall(form):
            output += _printed(piece, left)
        if not left or len(left) == before:
            return output.decode(errors="replace").replace("\n", "\r\n")


def _printed(piece: str, left: list[str]) -> bytes:
    match piece:
        case "%%":
            return b"%"
        case "%s":
            return _word(left).encode()
        case "%b":
            return _unescaped(_word(left))
        case "%d":
            return (_word(left) or "0").encode()
        case _:
            return _unescaped(piece)


def _word(left: list[str]) -> str:
    return left.pop(0) if left else ""


def _unescaped(text: str) -> bytes:
    output, end = b"", 0
    for found in _ESCAPE.finditer(text):
        octal, letter = found.groups()
        output += text[end : found.start()].encode()
        output += bytes([int(octal, 8) & 0xFF]) if octal else _named(letter)
        end = found.end()
    return output + text[end:].encode()


def _named(letter: str) -> bytes:
    return bytes([_NAMED[letter]]) if letter in _NAMED else f"\\{letter}".encode()
