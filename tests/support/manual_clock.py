"""Simulated time that a test advances by hand."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.interfaces import Timer

__all__ = ["ManualClock"]


class _ManualTimer:
    def __init__(self, callback: Callable[..., None], args: tuple[object, ...]) -> None:
        self.callback: Callable[..., None] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """A clock that stands still until a test calls `advance`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[tuple[float, int, _ManualTimer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Return simulated seconds since this clock was made."""
        return self._now

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: object) -> Timer:
        """Call `callback(*args)` when `advance` passes `delay_s` from now; equal times in call order."""
        timer = _ManualTimer(callback, args)
        heapq.heappush(self._due, (self._now + max(0.0, delay_s), next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, and make every call that is due, in order."""
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._due)
            if timer.callback is not None:
                timer.callback(*timer.args)
        self._now = end
