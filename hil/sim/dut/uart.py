"""The sending half of the simulated DUT's UART: one queue, at the pace of 115200 baud."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hil.sim.interfaces import Clock, NoTimer, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BYTES_PER_S", "DutTransmitter"]

BYTES_PER_S: Final = 11520
"""115200 baud, 8N1: ten bits a byte."""

_CHUNK_BYTES: Final = 57
"""What leaves in about 5 ms, and with one callback."""

_LAG_S: Final = 0.25
"""How far behind a busy process may fall and still catch up."""


class DutTransmitter:
    """Bytes on their way out of the DUT.

    A byte counts as sent at the end of its last bit, so that an interrupted supply takes the byte with it.

    Args:
        clock: Simulated time.
        leave: Called with bytes when they have left.
    """

    def __init__(self, clock: Clock, leave: Callable[[bytes], None]) -> None:
        self._clock = clock
        self._leave = leave
        self._queue: deque[bytes | Callable[[], None]] = deque()
        self._timer: Timer = NoTimer()
        self._in_flight = False
        self._looping = False
        self._free_at = 0.0
        self.sent_bytes = 0

    def send(self, data: bytes) -> None:
        """Queue bytes behind all that is waiting."""
        if data:
            self._put(data)

    def then(self, callback: Callable[[], None]) -> None:
        """Call back when everything that is waiting now has left; at once when nothing is."""
        self._put(callback)

    def clear(self) -> None:
        """Forget everything that waits, callbacks as well."""
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
        self._leave(chunk)
        self._next()
