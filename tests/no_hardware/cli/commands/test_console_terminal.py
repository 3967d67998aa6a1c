"""`hil console` leaves a terminal as one that the DUT has not touched: a real pty, and a DUT that sets modes.

What a terminal makes of the bytes is worked out here by a small model of one, which shares nothing with hil.
"""

from __future__ import annotations

import array
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import tty
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hil.cli.commands.console_terminal import TerminalModes
from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

LIMIT_S = 60.0
LEAVE = b"\x1d"
SEQUENCE = re.compile(
    rb"\x18|\x1b(?:(?P<csi>\[[?<>=!]?[0-9;]*[A-Za-z])|\(.|[>=78\\]|[\]P_^X](?P<string>[^\x18\x1b]*(\x1b\\|\x18)?))|\x0e|\x0f"
)
LEFT_ON = {
    "alternate screen": b"\x1b[?1049h",
    "alternate screen of old": b"\x1b[?47h",
    "mouse": b"\x1b[?1000;1002;1003h\x1b[?1006h",
    "X10 mouse": b"\x1b[?9h",
    "focus": b"\x1b[?1004h",
    "bracketed paste": b"\x1b[?2004h",
    "hidden cursor": b"\x1b[?25l",
    "scroll region": b"\x1b[5;10r",
    "origin mode": b"\x1b[3;9r\x1b[?6h",
    "keypad": b"\x1b=",
    "cursor keys": b"\x1b[?1h",
    "no wrap": b"\x1b[?7l",
    "reverse video": b"\x1b[?5h",
    "insert mode": b"\x1b[4h",
    "line drawing": b"\x1b(0",
    "other letters": b"\x0e",
    "colours": b"\x1b[31;7m",
    "kitty keys": b"\x1b[>1u",
    "other keys": b"\x1b[>4;2m",
    "synchronized output": b"\x1b[?2026h",
    "a string without an end": b"\x1b]0;a title that never ends",
    "a sequence without an end": b"\x1b[?1000",
}
SIMULATOR = {"boards": 1, "speed": 20}


class ModelTerminal:
    """What a terminal's modes are after bytes were shown."""

    def __init__(self) -> None:
        self._state: dict[str, object] = {"?7": b"h", "?25": b"h"}

    def show(self, data: bytes) -> None:
        for found in SEQUENCE.finditer(data):
            csi, whole = found["csi"] or b"", found[0]
            if csi:
                self._obey(csi[1:-1].strip(b"0123456789;"), re.findall(rb"\d+", csi), csi[-1:])
            elif whole in {b"\x1b=", b"\x1b>"}:
                self._set("keypad", whole == b"\x1b=")
            elif whole.startswith(b"\x1b("):
                self._set("letters", whole != b"\x1b(B")
            elif whole in {b"\x0e", b"\x0f"}:
                self._set("shifted", whole == b"\x0e")
            has_end = (found["string"] or b"").endswith((b"\\", b"\x18"))
            self._set("in string", found["string"] is not None and not has_end)

    def _obey(self, kind: bytes, numbers: list[bytes], verb: bytes) -> None:
        if kind == b"?" and verb in b"hl":
            for mode in numbers:
                alternate = mode in {b"47", b"1047", b"1049"}
                name = "alternate" if alternate else f"?{mode.decode()}"
                self._set(name, verb == b"h" and verb)
        elif verb == b"u":
            self._set("kitty", kind == b">")
        elif (kind, verb) == (b">", b"m"):
            self._set("other keys", len(numbers) > 1)
        elif verb == b"m":
            self._set("colours", numbers != [b"0"])
        elif verb == b"r":
            self._set("margins", bool(numbers))
        elif numbers == [b"4"] and verb in b"hl":
            self._set("insert", verb == b"h")

    def _set(self, name: str, value: object) -> None:
        self._state[name] = value

    @property
    def state(self) -> dict[str, object]:
        return {name: value for name, value in self._state.items() if value}


AS_NEW = ModelTerminal().state


@pytest.mark.parametrize("what", LEFT_ON)
def test_model_terminal_notices_what_is_left_on(what: str) -> None:
    model = ModelTerminal()
    model.show(LEFT_ON[what])

    assert model.state != AS_NEW or what == "a sequence without an end"


@pytest.mark.parametrize("pieces", [1, 3, 1000])
@pytest.mark.parametrize("what", LEFT_ON)
def test_undo_leaves_a_terminal_as_new(what: str, pieces: int) -> None:
    data, modes, model = LEFT_ON[what], TerminalModes(), ModelTerminal()
    for begin in range(0, len(data), pieces):
        modes.feed(data[begin : begin + pieces])

    model.show(data + modes.undo())

    assert model.state == AS_NEW


def test_undo_moves_no_cursor_for_a_screen_that_was_not_used() -> None:
    modes = TerminalModes()
    modes.feed(b"\x1b[31mred\x1b[?25l")

    assert b"1049" not in modes.undo()
    assert b"?6l" not in modes.undo()


class Dut:
    """A console's tty, for the lab file, and its other end."""

    def __init__(self, folder: Path, serial: str) -> None:
        self.end, self._tty = pty.openpty()
        tty.setraw(self._tty)
        self.lab = folder / "lab.toml"
        self.lab.write_text(f'[place.one]\nserial = "{serial}"\nconsole = "{os.ttyname(self._tty)}"\n')

    def close(self) -> None:
        os.close(self.end)
        os.close(self._tty)


class AtTerminal:
    """`hil console`, whose three streams are a terminal."""

    def __init__(self) -> None:
        self.said, self.master, self.slave = b"", *os.openpty()
        self.before = termios.tcgetattr(self.slave)
        command = [sys.executable, "-m", "hil.cli.main", "console"]
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), self.slave)
        self.process = subprocess.Popen(command, **streams, start_new_session=True)  # type: ignore[call-overload]

    def wait_for(self, words: bytes) -> None:
        deadline = Deadline(LIMIT_S)
        while words not in self.said:
            ready, _, _ = select.select([self.master], [], [], deadline.left_s)
            assert ready, f"{words!r} did not come: {self.said!r}"
            self.said += os.read(self.master, 65536)

    def wait_for_end(self) -> None:
        self.process.wait(LIMIT_S)
        while select.select([self.master], [], [], 0)[0]:
            self.said += os.read(self.master, 65536)

    @property
    def unread_bytes(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self.slave, termios.FIONREAD, count)
        return count[0]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def dut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Iterator[Dut]:
    (serial,) = simulator.serials()
    dut = Dut(tmp_path, serial)
    (tmp_path / "locks").mkdir()
    monkeypatch.setenv("HIL_LAB", str(dut.lab))
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    yield dut
    dut.close()


@pytest.fixture
def terminal(dut: Dut) -> Iterator[AtTerminal]:
    """A terminal that shows what a DUT says that has left everything on."""
    with ExitStack() as stack:
        terminal = AtTerminal()
        stack.callback(terminal.close)
        terminal.wait_for(b"Ctrl-] leaves")
        os.write(dut.end, b"".join(LEFT_ON.values()) + b"\x1b\\\x1b[?1049h all is on")
        terminal.wait_for(b" all is on")
        yield terminal


@pytest.mark.thorough
@pytest.mark.parametrize("end", ["Ctrl-]", "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTERM twice", "lost"])
def test_hil_console_leaves_the_terminal_as_new_whatever_its_end(
    terminal: AtTerminal, dut: Dut, end: str
) -> None:
    if end == "Ctrl-]":
        os.write(terminal.master, LEAVE)
    elif end == "lost":
        os.close(dut.end)
        dut.end = os.open("/dev/null", os.O_RDONLY)
    else:
        for _ in range(2 if end.endswith("twice") else 1):
            terminal.process.send_signal(signal.Signals[end.split(maxsplit=1)[0]])
    terminal.wait_for_end()

    model = ModelTerminal()
    model.show(terminal.said)
    assert model.state == AS_NEW
    assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.thorough
def test_hil_console_leaves_no_mouse_report_to_the_shell(terminal: AtTerminal) -> None:
    terminal.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, terminal.process.pid, os.WSTOPPED | os.WNOWAIT)
    os.write(terminal.master, b"\x1b[<0;1;1M" * 8)
    terminal.process.send_signal(signal.SIGTERM)
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait_for_end()

    assert terminal.unread_bytes == 0


@pytest.mark.thorough
def test_hil_console_restores_a_terminal_that_took_nothing_for_long(dut: Dut, terminal: AtTerminal) -> None:
    for _ in range(100):
        os.write(dut.end, b"\x1b[?1000h a flood that is not shown" * 100)
    terminal.process.send_signal(signal.SIGTERM)
    terminal.wait_for_end()

    model = ModelTerminal()
    model.show(terminal.said)
    assert model.state == AS_NEW
