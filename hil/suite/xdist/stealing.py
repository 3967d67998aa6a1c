"""Choose tests that a worker with nothing to do gets from the queue of another worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.suite.xdist.queue import BOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.suite.xdist.queue import WorkerQueue

__all__ = ["Steal", "best_steal"]

GAIN_S = 0.02
"""The smallest gain worth a steal, in seconds: asking a test back costs a round trip."""


@dataclass(frozen=True, slots=True)
class Steal:
    """Tests to ask back from a worker.

    Attributes:
        owner: The worker that has them.
        tests: Their indices; a worker returns all of them or none.
        gain_s: How much earlier the last of them would begin, in seconds.
    """

    owner: WorkerQueue
    tests: tuple[int, ...]
    gain_s: float = 0.0


def best_steal(
    thief: WorkerQueue, queues: Iterable[WorkerQueue], suits: Callable[[int], bool], now_s: float
) -> Steal | None:
    """Return the steal that gains most, or None if none is worth it.

    Args:
        thief: The worker that would get the tests.
        queues: All workers; the thief and workers that are asked already are passed over.
        suits: Returns True if the thief can run a test.
        now_s: The time by the scheduler's clock, in seconds.
    """
    free_s = thief.left_s(now_s)
    found = [
        steal
        for queue in queues
        if queue is not thief and not queue.asked_back and (steal := _steal(queue, free_s, suits, now_s))
    ]
    return max(found, key=lambda steal: steal.gain_s, default=None)


def _steal(owner: WorkerQueue, free_s: float, suits: Callable[[int], bool], now_s: float) -> Steal | None:
    """Return the first test that gains and all tests after it.

    If a later test stayed, the owner could run its last hardware test before it is told that it is the last.
    """
    begins_s = list(zip(owner.tests, owner.starts_s(now_s), strict=False))
    for position, (index, begin_s) in enumerate(begins_s):
        if position >= BOUND and begin_s - free_s > GAIN_S and suits(index):
            return Steal(owner, tuple(owner.tests[position:]), begins_s[-1][1] - free_s)
    return None
