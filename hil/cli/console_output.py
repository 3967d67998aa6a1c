"""Standard output of `hil console`, whose reader may stall: nothing waits for it, little is held for it."""

from __future__ import annotations

import os
import select
from typing import Final

from hil.dutlink.waiting import Deadline

__all__ = ["Output"]

_PIECE_BYTES: Final = 4096
"""A pipe that can be written to takes at least so many bytes without blocking (PIPE_BUF, pipe(7))."""


class Output:
    """An open file, pipe or terminal, and the bytes that it has not taken yet.

    Args:
        descriptor: Of the open file. It stays open, and in blocking mode: other processes may share it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._rest = b""
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def write(self, data: bytes | str) -> None:
        """Hold bytes, or text, until the next `flush`."""
        self._rest += data.encode(errors="replace") if isinstance(data, str) else data

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
            self._rest = self._rest[os.write(self.descriptor, self._rest[:_PIECE_BYTES]) :]
        return True
