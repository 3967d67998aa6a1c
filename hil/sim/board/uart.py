"""The UART between board and DUT: 115200 baud 8N1, a queue, registers of one byte (firmware: main.rs)."""

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
"""A ring of 1024 places holds one byte less."""

_FRAME_S: Final = 1 / BYTES_PER_S
_BATCH_BYTES: Final = 46
"""Bytes handed over in one callback at most, about 4 ms."""
_REGISTER_BYTES: Final = 2
"""The shift register, and the data register behind it."""
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
    r"""Bytes on their way to the DUT, sent by the firmware's idle task.

    The idle task looks at the console mode when it finds the queue filled, and stays with what it found
    until the queue is empty: outside of console mode a backslash begins an escape, of which ``\w`` sends
    nothing for a second. While another task waits it does not run; what the registers hold leaves anyway.

    Args:
        clock: Simulated time.
        deliver: Called with bytes when they have arrived at the DUT.
        escapes: Tells whether escapes count now.
        moved: Called after bytes have left by a timer: there is room in the queue.
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
        """How many bytes the queue takes now."""
        return QUEUE_BYTES - len(self._queue)

    def enqueue(self, data: bytes) -> None:
        """Queue bytes; those that do not fit are lost."""
        self._queue.extend(data[: self.room_bytes])

    def run_until_now(self) -> None:
        """Let everything happen that was due until now, and come back for the rest."""
        if self._queue or self._registers or self._in_hand is not None or self._pause_end_s is not None:
            arrived = self._advance(self._clock.now())
            self._schedule()
            if arrived:
                self._deliver(arrived)
        else:
            self._at_s = self._clock.now()
            self._in_burst = False

    def freeze(self) -> None:
        """Another task began to wait: the idle task stands still, also for what that task has just queued."""
        self._frozen = True
        self._frozen_since_s = self._clock.now()
        self.run_until_now()

    def thaw(self) -> None:
        """The other task has ended; a wait of the idle task's own has become longer by as much."""
        self.run_until_now()
        if self._pause_end_s is not None:
            self._pause_end_s += self._clock.now() - self._frozen_since_s
        self._frozen = False
        self.run_until_now()

    def stop(self) -> None:
        """Lose everything, as without power."""
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
        """Do the idle task's work: write while there is room, then hold one byte until there is again."""
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
        """Return the next byte to send; None when the queue is empty, or a wait began."""
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
    """The receiving register: it holds one byte while nobody reads; an overrun loses that one too."""

    def __init__(self) -> None:
        self._held = b""
        self._overrun = False

    def arrive_unread(self, data: bytes) -> None:
        """Bytes come while no task can read them."""
        self._overrun = self._overrun or len(self._held) + len(data) > 1
        self._held = (self._held + data)[:1]

    def read(self) -> bytes:
        """Read what the register still holds."""
        held = b"" if self._overrun else self._held
        self._held, self._overrun = b"", False
        return held
