"""Queues from the console's reader thread: bytes for the thread that waits, events for slower threads."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from hil.dutlink.console.transcript import Chunk, Mark
from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.console.transcript import Event

__all__ = ["ByteStream", "EventQueue"]

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


_EVENT_BYTES: Final = 256
"""Memory that an event takes in addition to its data, so that many short chunks are limited too."""

OrderT = TypeVar("OrderT")


class EventQueue(Generic[OrderT]):
    """Events, and orders between them, which one thread adds and another thread takes.

    While the queue is full, chunks are dropped and counted; notes and orders are not. A note before the next
    entry says how many bytes are missing.

    Args:
        most_bytes: The memory that the queued events may take, in bytes.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._queue: SimpleQueue[Event | OrderT] = SimpleQueue()
        self._put_bytes = 0
        self._taken_bytes = 0
        self._dropped_bytes = 0
        self._dropped_last: Chunk | None = None
        self._lock = threading.Lock()

    def put(self, event: Event) -> None:
        """Add an event, or drop it; called by the thread that reads the console."""
        with self._lock:
            if isinstance(event, Chunk):
                size = _EVENT_BYTES + len(event.data)
                if self._put_bytes - self._taken_bytes + size > self._most_bytes:
                    self._dropped_bytes += len(event.data)
                    self._dropped_last = event
                    return
                self._put_bytes += size
            self._tell_missing()
            self._queue.put(event)

    def put_order(self, order: OrderT) -> None:
        """Add an order, which follows all events that were added before it; called by any thread."""
        with self._lock:
            self._tell_missing()
            self._queue.put(order)

    def tell_missing(self) -> None:
        """Add the note about dropped bytes; call it at the end if no order follows."""
        with self._lock:
            self._tell_missing()

    def _tell_missing(self) -> None:
        last, self._dropped_last = self._dropped_last, None
        if last is not None:
            text = f"{self._dropped_bytes} bytes are missing here: they came faster than they could be kept"
            self._dropped_bytes = 0
            self._queue.put(Mark(last.monotonic_s, last.time_s, text, last.end))

    def get(self, *, block: bool = True) -> Event | OrderT:
        """Take the next entry.

        Args:
            block: Wait for it.

        Raises:
            queue.Empty: The queue is empty, and `block` is false.
        """
        taken = self._queue.get(block=block)
        if isinstance(taken, Chunk):
            self._taken_bytes += _EVENT_BYTES + len(taken.data)
        return taken
