"""The firmware's 10 ms timer interrupt, counted without a callback for each tick (firmware: main.rs)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hil.sim.interfaces import Clock

__all__ = ["TICK_S", "Ticker"]

TICK_S: Final = 0.01
_ROUNDING: Final = 1e-6
"""In ticks. Without it, ten times 0.1 s, in binary fractions, would be 99 ticks instead of 100."""


class Ticker:
    """Counts the 10 ms interrupts that were served since power-up.

    While a task waits, no interrupt is served. One stays pending and is served when the task has ended. The
    timer keeps running, so later ticks come at their usual times.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = clock.now()
        self._missed = 0
        self._frozen_at: int | None = None

    @property
    def frozen(self) -> bool:
        """Whether a waiting task blocks the interrupts."""
        return self._frozen_at is not None

    @property
    def count(self) -> int:
        """Number of interrupts served until now."""
        passed = self._passed() if self._frozen_at is None else self._frozen_at
        return passed - self._missed

    def freeze(self) -> None:
        """Stop serving interrupts: a task began to wait."""
        self._frozen_at = self._passed()

    def thaw(self) -> None:
        """Serve interrupts again: the task has ended."""
        if self._frozen_at is not None:
            self._missed += max(0, self._passed() - self._frozen_at - 1)
        self._frozen_at = None

    def seconds_until(self, count: int) -> float:
        """Return the seconds until `count` interrupts are served, if no task delays them."""
        at_s = self._began_s + (count + self._missed) * TICK_S
        return max(0.0, at_s - self._clock.now())

    def _passed(self) -> int:
        return int((self._clock.now() - self._began_s) / TICK_S + _ROUNDING)
