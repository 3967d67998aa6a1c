"""Ptys with a fake at their other end: a board with console mode and canned answers, a DUT that floods."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

PROMPT = b"#> "
_LINES = b"[    1.234567] a line of a kernel that never stops talking, 0123456789\r\n" * 1000
_LIMIT_S = 60.0


class FakeTty:
    """The other end runs in a thread; `dut` collects what would reach the DUT."""

    def __init__(self, *, console_mode: bool = True, answers: dict[str, bytes] | None = None) -> None:
        self.console_mode = console_mode
        self.answers = {"version": b"0.09 git-ref: 1a2b3c4"} | (answers or {})
        self.dut = bytearray()
        self.line = bytearray()
        self.silent = False
        self.stuck = False
        self._escapes = 0
        self._in_key = False
        self._board, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = Path(os.ttyname(self._slave))
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        """The DUT, or the board, says something."""
        os.write(self._board, data)

    def unplug(self) -> None:
        if self._thread.is_alive():
            os.write(self._waker, b"x")
            self._thread.join()
            for descriptor in (self._board, self._slave, self._wake, self._waker):
                os.close(descriptor)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._board, self._wake], [], [])
            if self._wake in ready:
                return
            if self.stuck:
                select.select([self._wake], [], [])
                return
            for byte in os.read(self._board, 4096):
                if not self.silent:
                    self._take(byte)

    def _take(self, byte: int) -> None:
        if not self.console_mode:
            self._edit(byte)
            return
        self.dut.append(byte)
        self._escapes = self._escapes + 1 if byte == 2 else 0
        if self._escapes == 5:
            self._escapes = 0
            self.console_mode = False
            self.say(b"\r\nExiting console mode\r\n" + PROMPT)

    def _edit(self, byte: int) -> None:
        if byte == 0x0D:
            line, self.line = self.line.decode(), bytearray()
            self._run_line(line)
        elif byte == 0x7F:
            self.say(b"\x08 \x08" if self.line else b"\x07")
            del self.line[-1:]
        elif byte == 0x1B or (self._in_key and byte != ord("C")):
            self._in_key = True
        elif self._in_key:
            self._in_key = False
            self.say(b"\x07")  # its cursor is always at the end
        elif byte >= 0x20:
            self.line.append(byte)
            self.say(bytes([byte]))

    def _run_line(self, line: str) -> None:
        if line == "console":
            self.console_mode = True
            self.say(b"\r\nEntering console mode, type CTRL+B 5 times to exit\r\n")
            return
        text = self.answers.get(line, b"")
        response = b"\r\n" + text + (b"\r\n" if text else b"") + PROMPT
        self.say(response[:512])


class FloodingTty:
    """Floods from its first reader on, for a `with` block.

    Args:
        lines: What it says, over and over.
    """

    def __init__(self, lines: bytes = _LINES) -> None:
        self._lines = lines
        self._end, self._tty = pty.openpty()
        tty.setraw(self._tty)
        os.set_blocking(self._end, False)
        self._wake, self._waker = os.pipe()
        self._sent_bytes = 0
        self._sent = threading.Condition()
        self._thread = threading.Thread(target=self._flood, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._waker, b"x")
        self._thread.join()
        for descriptor in (self._end, self._tty, self._wake, self._waker):
            os.close(descriptor)

    def lab_file(self, folder: Path, serial: str) -> Path:
        """Write a lab file by which this tty is the console of a board's DUT."""
        file = folder / "lab.toml"
        file.write_text(f'[place.flood]\nserial = "{serial}"\nconsole = "{os.ttyname(self._tty)}"\n')
        return file

    def wait_until_sent(self, size_bytes: int) -> None:
        """Return when so many bytes were sent, and all but the last few KiB of them read."""
        with self._sent:
            assert self._sent.wait_for(lambda: self._sent_bytes >= size_bytes, _LIMIT_S), self._sent_bytes

    def _flood(self) -> None:
        at = 0
        while True:
            ready, _, _ = select.select([self._wake], [self._end], [])
            if ready:
                return
            try:
                sent = os.write(self._end, self._lines[at:])
            except BlockingIOError:
                continue
            at = (at + sent) % len(self._lines)
            with self._sent:
                self._sent_bytes += sent
                self._sent.notify_all()


def rss_bytes(pid: int) -> int:
    """Return the most memory that a process has had so far (VmHWM, proc_pid_status(5)), in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024
