"""The sending half of the simulated DUT's UART: one queue, sent at 115200 baud."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hil.sim.interfaces import Clock, NoTimer, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BYTES_PER_S", "DutTransmitter"]

BYTES_PER_S: Final = 11520
"""115200 baud, 8N1: ten bits for each byte."""

_CHUNK_BYTES: Final = 57
"""Number of bytes sent in one callback, about 5 ms."""

_LAG_S: Final = 0.25
"""Largest delay of a busy process that is made up for by sending faster."""


class DutTransmitter:
    """Sends the DUT's bytes.

    A byte counts as sent after its last bit, so a byte that is being sent is lost if the supply goes.

    Args:
        clock: Simulated time.
        sent: Called with bytes when they have been sent.

    Attributes:
        sent_bytes: Number of bytes sent.
    """

    def __init__(self, clock: Clock, sent: Callable[[bytes], None]) -> None:
        self._clock = clock
        self._sent = sent
        self._queue: deque[bytes | Callable[[], None]] = deque()
        self._timer: Timer = NoTimer()
        self._in_flight = False
        self._looping = False
        self._free_at = 0.0
        self.sent_bytes = 0

    def send(self, data: bytes) -> None:
        """Queue bytes."""
        if data:
            self._put(data)

    def then(self, callback: Callable[[], None]) -> None:
        """Call back when all queued bytes have been sent; at once if the queue is empty."""
        self._put(callback)

    def clear(self) -> None:
        """Drop all queued bytes and callbacks."""
        self._timer.cancel()
        self._in_flight = False
        self._queue.clear()

    def _put(self, item: bytes | Callable[[], None]) -> None:
        self._queue.append(item)
        if not self._in_flight and not self._looping:
            self._free_at = self._clock.now()
            self._next()

    def _next(self) -> None:
        self._looping = True
        try:
            while self._queue and not self._in_flight:
                self._take(self._queue.popleft())
        finally:
            self._looping = False

    def _take(self, item: bytes | Callable[[], None]) -> None:
        if isinstance(item, bytes):
            self._start(item)
        else:
            item()

    def _start(self, data: bytes) -> None:
        chunk, rest = data[:_CHUNK_BYTES], data[_CHUNK_BYTES:]
        if rest:
            self._queue.appendleft(rest)
        now = self._clock.now()
        self._free_at = max(self._free_at, now - _LAG_S) + len(chunk) / BYTES_PER_S
        self._in_flight = True
        self._timer = self._clock.call_later(self._free_at - now, self._finish, chunk)

    def _finish(self, chunk: bytes) -> None:
        self._in_flight = False
        self.sent_bytes += len(chunk)
        self._sent(chunk)
        self._next()
