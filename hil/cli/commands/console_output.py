"""Standard output of `hil console`, whose reader may stall: nothing waits for it, little is held for it."""

from __future__ import annotations

import os
import select
import termios
from contextlib import suppress
from typing import Final

from hil.dutlink.timing import Deadline

__all__ = ["ConsoleOutput"]

_PIECE_BYTES: Final = 4096
"""A pipe that can be written to takes at least so many bytes without blocking (PIPE_BUF, pipe(7))."""

_ANEW: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class ConsoleOutput:
    """An open file, pipe or terminal, and the bytes that it has not taken yet.

    Args:
        descriptor: Of the open file. It stays open, and in blocking mode: other processes may share it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._writer, self._piece_bytes = _writer(descriptor)
        self._rest = b""
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def close(self) -> None:
        """Close what was opened to write without blocking; the open file itself stays."""
        if self._writer != self.descriptor:
            os.close(self._writer)
            self._writer = self.descriptor

    def write(self, data: bytes | str) -> None:
        """Hold bytes, or text, until the next `flush`."""
        self._rest += data.encode(errors="replace") if isinstance(data, str) else data

    def drop(self) -> None:
        """Forget the bytes that were held, and those that a terminal's driver holds for it."""
        self._rest = b""
        with suppress(termios.error):
            termios.tcflush(self.descriptor, termios.TCOFLUSH)

    def flush(self, limit_s: float = 0.0) -> bool:
        """Write the bytes that were held, waiting up to `limit_s` seconds for room.

        Returns:
            Whether none are left.

        Raises:
            OSError: They cannot be written, or their reader has gone.
        """
        deadline = Deadline(limit_s)
        while self._rest:
            if not self._room.poll(deadline.left_s * 1000):
                return False
            try:
                self._rest = self._rest[os.write(self._writer, self._rest[: self._piece_bytes]) :]
            except BlockingIOError:  # a terminal may have room for less than one letter
                if deadline.passed:
                    return False
        return True


def _writer(descriptor: int) -> tuple[int, int]:
    """Return a descriptor to write to, and how many bytes at once do not block.

    A terminal that can be written to may have room for one byte only, so it is opened again without blocking.
    Where that is not allowed (a terminal of another user, after su), it gets bytes one by one.
    """
    if not os.isatty(descriptor):
        return descriptor, _PIECE_BYTES
    try:
        return os.open(f"/proc/self/fd/{descriptor}", _ANEW), _PIECE_BYTES
    except OSError:
        return descriptor, 1
