"""Scripts of the simulated DUT: steps that print text or wait, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Generic, TypeVar

from hil.sim.interfaces import Clock, NoTimer, Timer

if TYPE_CHECKING:
    from hil.sim.dut.uart import DutTransmitter

__all__ = ["Script", "Steps"]

ResultT = TypeVar("ResultT")

Steps = Generator[str | float, None, ResultT]
"""A generator that yields a text to print or seconds to wait, and returns its result."""


class Script(Generic[ResultT]):
    """Runs steps on the clock.

    Each step starts when the last bit of the previous text is sent or its wait is over.

    A step may cancel its own script, as a command that reboots does.

    Args:
        clock: Simulated time.
        uart: UART for the text.
        steps: The steps.
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
        """Run the steps up to the first text or wait."""
        self._step()

    def cancel(self) -> None:
        """Stop the script; `finally` clauses of the steps run."""
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
