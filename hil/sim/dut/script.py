"""What the simulated DUT does step by step: it says something, waits, says the next thing."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Generic, TypeVar

from hil.sim.interfaces import Clock, NoTimer, Timer

if TYPE_CHECKING:
    from hil.sim.dut.uart import DutTransmitter

__all__ = ["Script", "Steps"]

ResultT = TypeVar("ResultT")

Steps = Generator[str | float, None, ResultT]
"""A generator that yields text to print, or seconds to wait, and returns its result."""


class Script(Generic[ResultT]):
    """Steps that run on the clock, each when the one before is over: printed to the last bit, or waited for.

    A step may end the script it belongs to (a command that reboots does).

    Args:
        clock: Simulated time.
        uart: Where text goes.
        steps: What to do.
        done: Called with the result, unless the script was cancelled.
    """

    def __init__(
        self, clock: Clock, uart: DutTransmitter, steps: Steps[ResultT], done: Callable[[ResultT], None]
    ) -> None:
        self._clock = clock
        self._uart = uart
        self._steps = steps
        self._done = done
        self._timer: Timer = NoTimer()
        self._cancelled = False
        self._stepping = False

    def start(self) -> None:
        """Take the first step, and all that follow without printing or waiting."""
        self._step()

    def cancel(self) -> None:
        """Go no further; `finally` clauses of the steps run."""
        self._cancelled = True
        self._timer.cancel()
        if not self._stepping:
            self._steps.close()

    def _step(self) -> None:
        if self._cancelled:
            return
        self._stepping = True
        try:
            step = next(self._steps)
        except StopIteration as end:
            self._end(end.value)
        else:
            self._follow(step)
        finally:
            self._stepping = False

    def _end(self, result: ResultT) -> None:
        if not self._cancelled:
            self._done(result)

    def _follow(self, step: str | float) -> None:
        self._stepping = False
        if self._cancelled:
            self._steps.close()
        elif isinstance(step, str):
            self._uart.send(step.encode())
            self._uart.then(self._step)
        else:
            self._timer = self._clock.call_later(step, self._step)
