"""Which tests a worker with nothing to do should get from another one's queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.suite.xdist.queue import BOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hil.suite.xdist.queue import WorkerQueue

__all__ = ["Steal", "best_steal"]

GAIN_S = 0.02  # asking a test back costs a round trip; a smaller gain isn't worth it


@dataclass(frozen=True, slots=True)
class Steal:
    """Tests to be asked back.

    Attributes:
        owner: The worker that has them.
        tests: Indices; a worker gives back all of them or none.
        gain_s: How much earlier the last of them would begin.
    """

    owner: WorkerQueue
    tests: tuple[int, ...]
    gain_s: float = 0.0


def best_steal(
    thief: WorkerQueue, queues: Iterable[WorkerQueue], suits: Callable[[int], bool], now_s: float
) -> Steal | None:
    """The tests that gain most by going to `thief`, or None if it isn't worth it.

    Args:
        thief: The worker that would get them.
        queues: All workers; the thief and those that are being asked already don't count.
        suits: Whether the thief can run a test.
        now_s: The time by the clock of whoever plans.
    """
    free_s = thief.left_s(now_s)
    found = [
        loot
        for queue in queues
        if queue is not thief and not queue.asked_back and (loot := _loot(queue, free_s, suits, now_s))
    ]
    return max(found, key=lambda loot: loot.gain_s, default=None)


def _loot(owner: WorkerQueue, free_s: float, suits: Callable[[int], bool], now_s: float) -> Steal | None:
    """The first test that gains and all that follows it.

    Nothing behind it stays, or the owner could go past its last hardware test before it is told which it is.
    """
    begins_s = list(zip(owner.tests, owner.starts_s(now_s), strict=False))
    for position, (index, begin_s) in enumerate(begins_s):
        if position >= BOUND and begin_s - free_s > GAIN_S and suits(index):
            return Steal(owner, tuple(owner.tests[position:]), begins_s[-1][1] - free_s)
    return None
