"""The board's processor: one task at a time, and nothing else while a task waits.

All interrupts of the firmware share one priority, so a task that waits (a delay made of busy instructions, or
a console buffer that the host must read first) keeps every other task waiting with it (firmware: main.rs).
Tasks are generators that yield what they wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

from hil.sim.interfaces import Clock, NoTimer, Timer

__all__ = ["Cpu", "Delay", "HostMustRead", "Task"]


@dataclass(frozen=True, slots=True)
class Delay:
    """Busy for some seconds.

    Attributes:
        seconds: How long.
        rest_s: What the same work will wait in later delays, for `Cpu.busy_s`.
    """

    seconds: float
    rest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HostMustRead:
    """Busy until the host has taken a packet from the console."""


Task: TypeAlias = Generator[Delay | HostMustRead, None, None]


class Cpu:
    """Runs tasks to their end, one after the other.

    Args:
        clock: Simulated time.
        ready: Called when a delay is over; the owner then calls `step`.
        stopped: Called when a task begins to wait.
        free: Called when a task that waited has ended.
    """

    def __init__(
        self, clock: Clock, ready: Callable[[], None], stopped: Callable[[], None], free: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._ready = ready
        self._stopped = stopped
        self._free = free
        self._task: Task | None = None
        self._timer: Timer = NoTimer()
        self._busy_until_s = 0.0
        self.busy = False
        self.blocked = False
        self.may_step = False

    @property
    def busy_s(self) -> float:
        """How long the running sequence still takes; 0 while the board waits for the host to read."""
        if not self.busy or self.blocked:
            return 0.0
        return max(0.0, self._busy_until_s - self._clock.now())

    def run(self, task: Task) -> None:
        """Begin a task; only when no other one waits."""
        self._task = task
        self.step()

    def step(self) -> None:
        """Go on with the task until it waits or ends."""
        self.may_step = self.blocked = False
        task = self._task
        if task is None:
            return
        wait = next(task, None)
        if self._task is not task:  # the power went while it ran
            task.close()
        elif wait is None:
            self._end()
        else:
            self._begin(wait)

    def unblock(self) -> None:
        """Let a task go on that waited for the host to read."""
        self.may_step = True

    def halt(self) -> None:
        """Lose the task and its timer, as without power."""
        self._timer.cancel()
        self._task = None
        self.busy = self.blocked = self.may_step = False

    def _begin(self, wait: Delay | HostMustRead) -> None:
        if not self.busy:
            self.busy = True
            self._stopped()
        if isinstance(wait, Delay):
            self._busy_until_s = self._clock.now() + wait.seconds + wait.rest_s
            self._timer = self._clock.call_later(wait.seconds, self._delay_over)
        else:
            self.blocked = True

    def _delay_over(self) -> None:
        self.may_step = True
        self._ready()

    def _end(self) -> None:
        self._task = None
        if self.busy:
            self.busy = False
            self._free()
