"""The board's UART to the DUT: 115200 baud 8N1, a send queue and one-byte registers (firmware: main.rs)."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from hil.sim.interfaces import Clock, NoTimer, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BYTES_PER_S", "QUEUE_BYTES", "BoardTransmitter", "ReceiveRegister"]

BYTES_PER_S: Final = 11520
QUEUE_BYTES: Final = 1023
"""A ring buffer of 1024 bytes holds one byte less."""

_FRAME_S: Final = 1 / BYTES_PER_S
_BATCH_BYTES: Final = 46
"""Most bytes delivered in one callback, about 4 ms."""
_REGISTER_BYTES: Final = 2
"""The shift register and the data register."""
_BACKSLASH: Final = 0x5C
_WAIT: Final = ord("w")
_WAIT_S: Final = 1.0
_ESCAPES: Final = {
    ord("n"): 0x0A,
    ord("r"): 0x0D,
    ord("t"): 0x09,
    ord("a"): 0x07,
    ord("b"): 0x08,
    ord("e"): 0x1B,
    ord("c"): 0x03,
    ord("d"): 0x04,
}


class BoardTransmitter:
    r"""The sender of bytes to the DUT: the firmware's idle task, a queue and the registers.

    The idle task reads the console mode when it finds bytes in the queue, and keeps to it until the queue is
    empty. Outside of console mode a backslash begins an escape; ``\w`` pauses for a second. The idle task
    does not run while another task waits, but bytes in the registers are still sent.

    Args:
        clock: Simulated time.
        deliver: Called with bytes when they have arrived at the DUT.
        escapes: Returns True if escapes count now.
        moved: Called after a timer sent bytes, so that the queue has room.
    """

    def __init__(
        self,
        clock: Clock,
        deliver: Callable[[bytes], None],
        escapes: Callable[[], bool],
        moved: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._deliver = deliver
        self._escapes = escapes
        self._moved = moved
        self._queue: deque[int] = deque()
        self._registers: deque[int] = deque()
        self._in_hand: int | None = None
        self._in_burst = self._with_escapes = self._after_backslash = False
        self._frame_end_s = 0.0
        self._pause_end_s: float | None = None
        self._at_s = clock.now()
        self._frozen = False
        self._frozen_since_s = 0.0
        self._timer: Timer = NoTimer()

    @property
    def room_bytes(self) -> int:
        """Number of bytes that fit into the queue now."""
        return QUEUE_BYTES - len(self._queue)

    def enqueue(self, data: bytes) -> None:
        """Queue bytes. Bytes that do not fit are lost."""
        self._queue.extend(data[: self.room_bytes])

    def run_until_now(self) -> None:
        """Send the bytes that were due until now, and set a timer for the rest."""
        if self._queue or self._registers or self._in_hand is not None or self._pause_end_s is not None:
            arrived = self._advance(self._clock.now())
            self._schedule()
            if arrived:
                self._deliver(arrived)
        else:
            self._at_s = self._clock.now()
            self._in_burst = False

    def freeze(self) -> None:
        """Stop the idle task, because another task began to wait; bytes that it just queued wait, too."""
        self._frozen = True
        self._frozen_since_s = self._clock.now()
        self.run_until_now()

    def thaw(self) -> None:
        """Continue the idle task; a pause of its own becomes longer by the time that it was stopped."""
        self.run_until_now()
        if self._pause_end_s is not None:
            self._pause_end_s += self._clock.now() - self._frozen_since_s
        self._frozen = False
        self.run_until_now()

    def stop(self) -> None:
        """Drop all bytes, as without power."""
        self._timer.cancel()
        self._queue.clear()
        self._registers.clear()
        self._in_hand = self._pause_end_s = None

    def _advance(self, now_s: float) -> bytes:
        arrived = bytearray()
        while True:
            self._fill_registers()
            event_s = self._next_event_s()
            if event_s > now_s:
                self._at_s = now_s
                return bytes(arrived)
            self._at_s = event_s
            if event_s == self._pause_end_s:
                self._pause_end_s = None
            else:
                arrived.append(self._registers.popleft())
                self._frame_end_s += _FRAME_S

    def _next_event_s(self) -> float:
        frame_s = self._frame_end_s if self._registers else math.inf
        pause_s = math.inf if self._pause_end_s is None or self._frozen else self._pause_end_s
        return min(frame_s, pause_s)

    def _fill_registers(self) -> None:
        """Do the idle task's work: write bytes while there is room, then hold one until there is again."""
        while not self._frozen and self._pause_end_s is None:
            if self._in_hand is None:
                self._in_hand = self._dequeue()
            if self._in_hand is None or len(self._registers) >= _REGISTER_BYTES:
                return
            if not self._registers:
                self._frame_end_s = self._at_s + _FRAME_S
            self._registers.append(self._in_hand)
            self._in_hand = None

    def _dequeue(self) -> int | None:
        """Return the next byte to send, or None if the queue is empty or a pause began."""
        if self._queue and not self._in_burst:
            self._in_burst, self._with_escapes, self._after_backslash = True, self._escapes(), False
        while self._queue:
            byte = self._queue.popleft()
            if self._after_backslash:
                self._after_backslash = False
                if byte == _WAIT:
                    self._pause_end_s = self._at_s + _WAIT_S
                    return None
                return _ESCAPES.get(byte, byte)
            if not self._with_escapes or byte != _BACKSLASH:
                return byte
            self._after_backslash = True
        self._in_burst = False
        return None

    def _schedule(self) -> None:
        self._timer.cancel()
        waiting = len(self._registers)
        if not self._frozen:
            waiting += len(self._queue) + (self._in_hand is not None)
        due_s = self._next_event_s()
        if due_s == math.inf:
            return
        if self._registers:
            due_s = self._frame_end_s + (min(waiting, _BATCH_BYTES) - 1) * _FRAME_S
        self._timer = self._clock.call_later(due_s - self._clock.now(), self._on_timer)

    def _on_timer(self) -> None:
        self.run_until_now()
        self._moved()


class ReceiveRegister:
    """The receive register. It holds one byte until a task reads it; an overrun loses this byte, too."""

    def __init__(self) -> None:
        self._held = b""
        self._overrun = False

    def arrive_unread(self, data: bytes) -> None:
        """Take bytes while no task can read them."""
        self._overrun = self._overrun or len(self._held) + len(data) > 1
        self._held = (self._held + data)[:1]

    def read(self) -> bytes:
        """Return the byte in the register, or no bytes after an overrun."""
        held = b"" if self._overrun else self._held
        self._held, self._overrun = b"", False
        return held
