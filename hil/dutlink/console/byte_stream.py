"""Bytes on their way from the console's reader to whoever waits for them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ByteStream"]

_KEPT_BYTES = 4 * 1024 * 1024
_AHEAD_BYTES = 512 * 1024


class ByteStream:
    """A queue of bytes between threads, with an end.

    Unread bytes beyond 4 MiB push out the oldest: a test that never looks must not eat the memory. The
    transcript has them.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._ended = False
        self._readers = 0
        self._changed = threading.Condition()

    def feed(self, data: bytes) -> None:
        """Add bytes at the end."""
        with self._changed:
            self._data += data
            del self._data[:-_KEPT_BYTES]
            self._changed.notify_all()

    def put_back(self, data: bytes) -> None:
        """Add bytes at the beginning: they were taken and are not wanted."""
        with self._changed:
            self._data[:0] = data
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing will come any more; what is unread may still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Say that somebody takes what comes, for a `with` block."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    @property
    def is_ahead(self) -> bool:
        """Whether whoever reads it should be given time to catch up."""
        return self._readers > 0 and len(self._data) > _AHEAD_BYTES

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._ended

    def take(self, timeout_s: float | None = None) -> bytes:
        """Take all there is, waiting up to `timeout_s` seconds (None: for ever) for the first byte.

        Returns:
            The bytes; none when the time is over.

        Raises:
            EOFError: The stream ended and all was taken.
        """
        deadline = Deadline(timeout_s) if timeout_s is not None else None
        with self._changed:
            while not self._data:
                if self._ended:
                    raise EOFError
                if deadline is not None and deadline.passed:
                    return b""
                self._changed.wait(deadline.left_s if deadline is not None else None)
            data = bytes(self._data)
            self._data.clear()
            return data
