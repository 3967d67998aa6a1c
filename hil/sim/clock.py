"""Simulated time: real time multiplied by one factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from hil.sim.interfaces import Timer

__all__ = ["LoopClock"]


class LoopClock:
    """The clock of a running simulator: the asyncio loop's time, multiplied by `speed`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, speed: float = 1.0) -> None:
        self._loop = loop
        self._began = loop.time()
        self.speed = speed

    def now(self) -> float:
        """Return simulated seconds since this clock was made."""
        return (self._loop.time() - self._began) * self.speed

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: object) -> Timer:
        """Call `callback(*args)` after `delay_s` simulated seconds."""
        return self._loop.call_later(max(0.0, delay_s) / self.speed, callback, *args)
