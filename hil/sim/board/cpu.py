"""The board's processor, which runs one task at a time, and its 10 ms timer interrupt (firmware: main.rs).

All interrupts of the firmware share one priority. A task that waits, in a busy loop or for the host to read
from a full console buffer, therefore blocks all other tasks. A task is a generator that yields what it waits
for. Ticks are counted without a callback for each.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, TypeAlias

from hil.sim.interfaces import Clock, NoTimer, Timer

__all__ = ["TICK_S", "Cpu", "Delay", "HostMustRead", "Task", "Ticker"]

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


@dataclass(frozen=True, slots=True)
class Delay:
    """A busy loop.

    Attributes:
        seconds: Its duration.
        later_s: Sum of the later delays of the same task, for `Cpu.busy_s`.
    """

    seconds: float
    later_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HostMustRead:
    """A wait until the host has read a packet from the console."""


Task: TypeAlias = Generator[Delay | HostMustRead, None, None]


class Cpu:
    """Runs tasks to their end, one after the other.

    Args:
        clock: Simulated time.
        on_ready: Called when a delay is over; the owner then calls `step`.
        on_wait: Called when a task begins to wait.
        on_end: Called when a task that waited has ended.

    Attributes:
        busy: Whether a task waits.
        blocked: Whether the task waits for the host to read.
        may_step: Whether the wait is over, so that `step` continues the task.
    """

    def __init__(
        self,
        clock: Clock,
        on_ready: Callable[[], None],
        on_wait: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._on_ready = on_ready
        self._on_wait = on_wait
        self._on_end = on_end
        self._task: Task | None = None
        self._timer: Timer = NoTimer()
        self._busy_until_s = 0.0
        self.busy = False
        self.blocked = False
        self.may_step = False

    @property
    def busy_s(self) -> float:
        """Seconds that the running task still waits; 0 if it waits for the host to read."""
        if not self.busy or self.blocked:
            return 0.0
        return max(0.0, self._busy_until_s - self._clock.now())

    def run(self, task: Task) -> None:
        """Start a task. No other task may be waiting."""
        self._task = task
        self.step()

    def step(self) -> None:
        """Continue the task until it waits or ends."""
        self.may_step = self.blocked = False
        task = self._task
        if task is None:
            return
        wait = next(task, None)
        if self._task is not task:  # the board lost power while the task ran
            task.close()
        elif wait is None:
            self._end()
        else:
            self._begin(wait)

    def unblock(self) -> None:
        """Allow `step` for a task that waited for the host to read."""
        self.may_step = True

    def halt(self) -> None:
        """Drop the task and its timer, as without power."""
        self._timer.cancel()
        self._task = None
        self.busy = self.blocked = self.may_step = False

    def _begin(self, wait: Delay | HostMustRead) -> None:
        if not self.busy:
            self.busy = True
            self._on_wait()
        if isinstance(wait, Delay):
            self._busy_until_s = self._clock.now() + wait.seconds + wait.later_s
            self._timer = self._clock.call_later(wait.seconds, self._delay_over)
        else:
            self.blocked = True

    def _delay_over(self) -> None:
        self.may_step = True
        self._on_ready()

    def _end(self) -> None:
        self._task = None
        if self.busy:
            self.busy = False
            self._on_end()
