"""The board's own prompt, behind the console: getting there, asking, and getting back.

Five Ctrl-B in a row leave console mode; the command `console` goes back. In between the DUT's output is
dropped. The mode outlives the program that set it (firmware: main.rs, shell.rs).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from hil.dutlink.timing import Deadline
from hil.errors import ConsoleError, ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.console.byte_stream import ByteStream
    from hil.dutlink.console.port import ConsolePort

__all__ = [
    "ESCAPE",
    "LONGEST_COMMAND",
    "ShellAnswer",
    "check_command",
    "dut_output",
    "ends_in_shell",
    "restore_console_mode",
    "run_shell_command",
]

ESCAPE = b"\x02" * 5
"""What leaves console mode."""

LONGEST_COMMAND = 512
"""Bytes that the line editor holds; it rings the bell for more."""

_PROMPT = b"#> "
_END = b"\r\n" + _PROMPT
_LEFT = b"\r\nExiting console mode\r\n" + _PROMPT
_ENTERED = b"Entering console mode, type CTRL+B 5 times to exit\r\n"
_GO_BACK = ("console", "console ")
_NO_READINGS = "meter off"
_RUB_OUT = b"\x7f" * 32
_TO_THE_RIGHT = b"\x1b[C"
_BELL = b"\x07"
_CLEARED_WITHIN_S = 10.0
_REACTION_S = 1.0
_PAUSE_S = 0.05
_CUT_BYTES = 510
_LISTING = "get-config"
_LAST_LISTED = b"\r\npower_rescue: "
_CUT_QUIET_S = 0.5
_SHOWN = 80


class ShellAnswer(str):
    """What the shell answered, without echo and prompt, lines ended by LF.

    Attributes:
        cut: The answer was longer than the 512 bytes that the board has for one, and something is missing:
            its end with the prompt, or (in a listing of the settings) a line that did not fit whole while the
            shorter prompt behind it did (firmware: shell.rs).
    """

    __slots__ = ("cut",)
    cut: bool

    @classmethod
    def of(cls, raw: bytes, *, cut: bool) -> Self:
        """Make it of the bytes between the echo and the prompt."""
        answer = cls(raw.decode(errors="replace").replace("\r\n", "\n").strip("\r\n"))
        answer.cut = cut
        return answer


def ends_in_shell(said: bytes) -> bool:
    """Whether a console that said this was left at the board's prompt, by its own words."""
    return said.rfind(b"\r\nExiting console mode\r\n") > said.rfind(_ENTERED)


def dut_output(said: bytes) -> bytes:
    """Return what the DUT said among bytes that came while the board was brought back to console mode."""
    before, left, shell = said.partition(_LEFT)
    _words, entered, after = (shell if left else said).rpartition(_ENTERED)
    if not entered:
        return said
    return before + after if left else after


def check_command(command: str) -> None:
    """Refuse what would jam the line editor: anything but printable ASCII can leave it unable to go on.

    Raises:
        UsageError: It is not one line of printable ASCII, of 512 characters at most.
    """
    if not (command.isascii() and command.isprintable()) or len(command) > LONGEST_COMMAND:
        raise UsageError(
            f"the board's shell cannot be given {command[:_SHOWN]!r}",
            why=f"a command is one line of printable ASCII, {LONGEST_COMMAND} characters at most",
            remedy="send TEXT takes \\n, \\r, \\t, \\e and others for control characters",
        )


def run_shell_command(port: ConsolePort, command: str, timeout_s: float) -> ShellAnswer:
    """Leave console mode, run one command, and go back, however it ends.

    Args:
        port: The board's own tty.
        command: One line.
        timeout_s: How long the answer may take, in seconds.

    Raises:
        ShellError: No usable answer.
        ConsoleLostError: The tty went away.
    """
    check_command(command)
    if command in _GO_BACK:
        with _in_shell(port):
            pass
        return ShellAnswer.of(_ENTERED, cut=False)
    with _in_shell(port) as talk:
        return talk.ask(command, timeout_s)


def restore_console_mode(port: ConsolePort) -> None:
    """Bring the board into console mode, whichever mode it is in, with nothing between the DUT's bytes.

    The shell's `meter on` outlives whoever said it, too: from then on the board puts a reading behind every
    CR of the DUT. A DUT that was connected gets five Ctrl-B for it, and its output of a few milliseconds is
    dropped.

    Raises:
        ShellError: The board does not react.
    """
    with _in_shell(port) as talk, suppress(ShellError):  # whether it goes back is what counts
        talk.ask(_NO_READINGS, _REACTION_S)


@contextmanager
def _in_shell(port: ConsolePort) -> Iterator[_Conversation]:
    with port.diverted() as stream:
        talk = _Conversation(port, stream)
        said = b""
        try:
            said = talk.leave_console_mode()
            with talk.going_back():
                yield talk
        finally:
            stream.put_back(said + talk.rest)


class _Conversation:
    """A talk with the board over a tty, with what was not understood yet in `rest`."""

    def __init__(self, port: ConsolePort, stream: ByteStream) -> None:
        self.rest = b""
        self._port = port
        self._stream = stream

    def leave_console_mode(self) -> bytes:
        """Get to an empty command line; return what the DUT said before.

        In the shell already, the board ignores the Ctrl-B; then half a command may stand in its line, which
        must not be run: it is rubbed out before CR asks for a prompt. All bytes that arrive together with
        the fifth Ctrl-B go to the DUT, so nothing else is sent before the board has reacted.
        """
        self._port.write(ESCAPE)
        said = self._until(_LEFT, _REACTION_S)
        if said is None:
            self._clear_line()
            self._port.write(b"\r")
            if self._until(_PROMPT, _REACTION_S) is None:
                raise self._no_answer("Ctrl-B", _REACTION_S)
            said = b""
        said = said.removesuffix(_LEFT)
        self._pause()
        said, self.rest = said + self.rest, b""
        return said

    def _clear_line(self) -> None:
        """Rub out what stands in the board's line, before and behind the cursor.

        The editor rings the bell where there is nothing to rub out, and no way to the right. A few keys at a
        time: a board whose answers nobody takes, because this process was killed, would hang.
        """
        deadline = Deadline(_CLEARED_WITHIN_S)
        for _ in range(2 * LONGEST_COMMAND // len(_RUB_OUT)):
            if deadline.passed:
                return
            if not self._rings(_RUB_OUT):
                continue
            if self._rings(_TO_THE_RIGHT):
                return
            self._rings(_TO_THE_RIGHT * (len(_RUB_OUT) - 2))

    def _rings(self, keys: bytes) -> bool:
        """Send keys, and tell whether the bell answers any of them."""
        begin = len(self.rest)
        self._port.write(keys)
        self._pause()
        return _BELL in self.rest[begin:]

    def enter_console_mode(self) -> None:
        """Go back; what came behind the board's words is the DUT's again."""
        self._port.write(b"console\r")
        if self._until(_ENTERED, _REACTION_S) is not None:
            return
        self.leave_console_mode()
        self._port.write(b"console\r")
        if self._until(_ENTERED, _REACTION_S) is None:
            raise self._no_answer("console", _REACTION_S)

    @contextmanager
    def going_back(self) -> Iterator[None]:
        """Go back to console mode at the end; after an error too, which says more than one from here."""
        try:
            yield
        except BaseException:
            with suppress(ConsoleError):
                self.enter_console_mode()
            raise
        self.enter_console_mode()

    def ask(self, command: str, timeout_s: float) -> ShellAnswer:
        """Run a command and return its answer."""
        deadline = Deadline(timeout_s)
        self._port.write(command.encode() + b"\r")
        if command and self._until(command.encode(), timeout_s) is None:
            raise self._no_answer(command, timeout_s)
        while _END not in self.rest:
            cut = len(self.rest) >= _CUT_BYTES
            quiet_s = min(_CUT_QUIET_S, deadline.left_s) if cut else deadline.left_s
            if deadline.passed or not self._receive(quiet_s):
                if not cut:
                    raise self._no_answer(command, timeout_s)
                answer, self.rest = self.rest, b""
                return ShellAnswer.of(answer, cut=True)
        answer, _, self.rest = self.rest.partition(_END)
        return ShellAnswer.of(answer, cut=command == _LISTING and _LAST_LISTED not in answer)

    def _until(self, wanted: bytes, limit_s: float) -> bytes | None:
        """Receive until `wanted` came, and return all up to its end; None when it does not come in time."""
        deadline = Deadline(limit_s)
        while wanted not in self.rest:
            if deadline.passed or not self._receive(deadline.left_s):
                return None
        before, found, self.rest = self.rest.partition(wanted)
        return before + found

    def _pause(self) -> None:
        """Receive until nothing has come for a moment, one second at most."""
        deadline = Deadline(_REACTION_S)
        while not deadline.passed and self._receive(_PAUSE_S):
            pass

    def _receive(self, limit_s: float) -> bool:
        try:
            data = self._stream.take(limit_s)
        except EOFError:
            raise self._port.lost_error() from None
        self.rest += data
        return bool(data)

    def _no_answer(self, asked: str, limit_s: float) -> ShellError:
        return ShellError(
            f"the board's shell at {self._port.tty.path} did not answer {asked!r} within {limit_s:.1f} s",
            why=f"last came {self.rest[-_SHOWN:]!r}" if self.rest else "nothing came",
            remedy="during a power sequence it is silent: allow more time; else replug the board",
        )
