"""A queue of a transcript's events to a thread that may be slow, in bounded memory."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from hil.dutlink.console.transcript import Chunk, Mark

if TYPE_CHECKING:
    from hil.dutlink.console.transcript import Event

__all__ = ["EventQueue"]

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
