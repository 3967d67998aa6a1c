"""Output of `hil console` to a reader that may stall: writes never block, and little is buffered."""

from __future__ import annotations

import os
import select
import termios
from contextlib import suppress
from typing import Final

from hil.cli.standard_output import PIPE_BYTES
from hil.dutlink.timing import Deadline

__all__ = ["ConsoleOutput"]

_REOPEN_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class ConsoleOutput:
    """An open file, pipe or terminal, with a buffer of bytes that it has not taken yet.

    Args:
        descriptor: Its file descriptor. It stays open and in blocking mode, because other processes may share
            it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._writer, self._piece_bytes = _writer(descriptor)
        self._rest = b""
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def close(self) -> None:
        """Close the descriptor that was opened for non-blocking writes; the original one stays open."""
        if self._writer != self.descriptor:
            os.close(self._writer)
            self._writer = self.descriptor

    def write(self, data: bytes | str) -> None:
        """Buffer bytes or text until the next `flush`."""
        self._rest += data.encode(errors="replace") if isinstance(data, str) else data

    def drop(self) -> None:
        """Drop the buffered bytes, also those in the terminal's driver."""
        self._rest = b""
        with suppress(termios.error):
            termios.tcflush(self.descriptor, termios.TCOFLUSH)

    def flush(self, limit_s: float = 0.0) -> bool:
        """Write buffered bytes, waiting up to `limit_s` seconds for room.

        Returns:
            True if the buffer is empty.

        Raises:
            OSError: The write failed, or the reader has ended.
        """
        deadline = Deadline(limit_s)
        while self._rest:
            if not self._room.poll(deadline.left_s * 1000):
                return False
            try:
                self._rest = self._rest[os.write(self._writer, self._rest[: self._piece_bytes]) :]
            except BlockingIOError:  # a terminal may have room for less than one character
                if deadline.passed:
                    return False
        return True


def _writer(descriptor: int) -> tuple[int, int]:
    """Return a descriptor for writing, and the number of bytes that do not block.

    A writable terminal may have room for only one byte, so it is opened again in non-blocking mode. If that
    is not allowed (a terminal of another user, after su), it gets bytes one by one.
    """
    if not os.isatty(descriptor):
        return descriptor, PIPE_BYTES
    try:
        return os.open(f"/proc/self/fd/{descriptor}", _REOPEN_FLAGS), PIPE_BYTES
    except OSError:
        return descriptor, 1
