"""A DUT that floods: a tty whose other end writes as fast as it is read, and a lab file that names it."""

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

__all__ = ["FloodingTty", "rss_bytes"]

_LINES = b"[    1.234567] a line of a kernel that never stops talking, 0123456789\r\n" * 1000
_LIMIT_S = 60.0


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
