"""A queue of bytes from the console's reader thread to the thread that waits for them."""

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

    Only the newest 4 MiB of unread bytes are kept, so that a test that never reads them does not fill the
    memory. The transcript has all.
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
        """Add bytes at the beginning that were taken and not used."""
        with self._changed:
            self._data[:0] = data
            self._changed.notify_all()

    def end(self) -> None:
        """End the stream; unread bytes can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Note for a block that a thread takes the bytes."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    @property
    def is_ahead(self) -> bool:
        """Whether the thread that takes the bytes has a backlog, and needs time to catch up."""
        return self._readers > 0 and len(self._data) > _AHEAD_BYTES

    @property
    def ended(self) -> bool:
        """Whether the stream has ended."""
        return self._ended

    def take(self, timeout_s: float | None = None) -> bytes:
        """Take all bytes, after waiting up to `timeout_s` seconds (None: without a limit) for the first one.

        Returns:
            The bytes; none if the time is over.

        Raises:
            EOFError: The stream has ended, and all bytes were taken.
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
