"""The firmware's 10 ms timer interrupt, counted without a callback each (firmware: main.rs)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hil.sim.interfaces import Clock

__all__ = ["TICK_S", "Ticker"]

TICK_S: Final = 0.01
_ROUNDING: Final = 1e-6
"""Ticks; so that ten times 0.1 s counts as 100 ticks in binary fractions too."""


class Ticker:
    """How many 10 ms interrupts were served since power came.

    While a task waits none are served; one stays pending and is served when the task has ended. The timer
    itself runs on, so that later ticks keep their places.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s = clock.now()
        self._missed = 0
        self._frozen_at: int | None = None

    @property
    def frozen(self) -> bool:
        """Whether a task keeps the interrupts waiting."""
        return self._frozen_at is not None

    @property
    def count(self) -> int:
        """Interrupts served until now."""
        passed = self._passed() if self._frozen_at is None else self._frozen_at
        return passed - self._missed

    def freeze(self) -> None:
        """A task began to wait."""
        self._frozen_at = self._passed()

    def thaw(self) -> None:
        """The task has ended."""
        if self._frozen_at is not None:
            self._missed += max(0, self._passed() - self._frozen_at - 1)
        self._frozen_at = None

    def seconds_until(self, count: int) -> float:
        """Return the seconds from now until `count` interrupts are served, if nothing delays them."""
        at_s = self._began_s + (count + self._missed) * TICK_S
        return max(0.0, at_s - self._clock.now())

    def _passed(self) -> int:
        return int((self._clock.now() - self._began_s) / TICK_S + _ROUNDING)
