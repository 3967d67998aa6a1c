"""The board's processor: it runs one task at a time; while a task waits, no other runs.

All interrupts of the firmware share one priority. A task that waits, in a busy loop or for the host to read
from a full console buffer, therefore blocks all other tasks (firmware: main.rs). A task is a generator that
yields what it waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

from hil.sim.interfaces import Clock, NoTimer, Timer

__all__ = ["Cpu", "Delay", "HostMustRead", "Task"]


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
