"""Divide boards, and the time of all unsent tests, among workers: the calculations of `planner`.

Acquiring a board takes time (it is leased and made safe first), so a worker keeps its board until no test
waits for it. If workers are fewer than boards, a board may give way to another one, and go on later. Tests
are divided so that all workers end at the same time. Long tests go first, each to the worker that is free
the earliest. The others fill up what remains in the order of collection, one stretch for each worker, so that
tests of a module stay together and its fixtures are set up seldom.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from hil.suite.xdist.backlog import Backlog
    from hil.suite.xdist.costs import Costs
    from hil.suite.xdist.flash_order import FlashOrder
    from hil.suite.xdist.queue import WorkerQueue

__all__ = ["BoardAllocator", "common_end", "divide", "partition_tests"]

LONG = 1 / 16
"""Share of the time until the end from which a test counts as long: out of place, it costs at most that."""

LEAST_GAIN_S = 30.0
"""The gain in seconds for which a board is acquired twice: its DUT boots and its image is proven again."""


class BoardAllocator:
    """Which worker has which board.

    Args:
        backlog: The unsent tests and the boards they wait for.

    Attributes:
        lost: Boards that cannot be used any more.
        reserved: Boards that are brought together for tests with partners.
    """

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self.lost: set[str] = set()
        self.reserved: frozenset[str] = frozenset()

    def update(self, queues: Collection[WorkerQueue], now_s: float) -> bool:
        """Take boards from workers that do not need them, and give out the boards that tests wait for.

        Returns:
            True if a worker got a board.
        """
        for queue in queues:
            if queue.board and not self._needs(queue) and not queue.may_use(queue.board):
                queue.board = None
        given = {queue.board for queue in queues if queue.board} | self.reserved
        wanted = [one for one in self._backlog.boards if one not in given and self._backlog.waits_for(one)]
        wanted.sort(key=lambda board: -self._backlog.urgency(board))
        given_out = [self._give(board, queues, now_s) for board in wanted]
        return any(given_out) or self._give_way(wanted, queues, now_s)

    def reserve(self, boards: Collection[str], queues: Collection[WorkerQueue]) -> None:
        """Give these boards to no worker, and no more tests to the workers that have them."""
        self.reserved = frozenset(boards)
        for board in boards:
            self._take_from_all(board, queues)

    def lose(self, board: str, queues: Collection[WorkerQueue]) -> None:
        """Give no more tests to a board that cannot be used."""
        self.lost.add(board)
        self._backlog.lose(board)
        self._take_from_all(board, queues)

    def defer(self, board: str, queues: Collection[WorkerQueue]) -> None:
        """Give no tests to a board that another process holds, until no other test is left."""
        self._backlog.defer(board)
        self._take_from_all(board, queues)

    def _give_way(self, unserved: Collection[str], queues: Collection[WorkerQueue], now_s: float) -> bool:
        """Let the board with the least to do give way to one without a worker, if the run ends sooner then.

        Of four boards on three workers, one would be tested alone, after the others. So the tests of another
        board are interrupted for it, as late as possible, and go on afterwards.

        Returns:
            True if a worker got another board.
        """
        held = {queue.board: queue for queue in queues if queue.board and not queue.closing}
        unserved = [board for board in unserved if not any(queue.may_use(board) for queue in queues)]
        if self.reserved or not held or not any(map(self._backlog.has_own, unserved)):
            return False
        unsent_s = self._backlog.work_s(next(iter(held.values())).costs.of)
        busy_s = {board: queue.left_s(now_s) for board, queue in held.items()}
        left_s = {board: busy_s.get(board, 0.0) + unsent_s.get(board, 0.0) for board in (*held, *unserved)}
        end_s = max((sum(busy_s.values()) + sum(unsent_s.values())) / len(held), *left_s.values())
        first, other = max(unserved, key=left_s.__getitem__), min(held, key=left_s.__getitem__)
        whole_s = _last_end([left_s[board] for board in held], [left_s[board] for board in unserved])
        if min(whole_s - end_s, left_s[first] - left_s[other]) < LEAST_GAIN_S:
            return False
        if busy_s[other] + left_s[first] < end_s:  # there is time yet
            return False
        held[other].board = first
        return True

    def _needs(self, queue: WorkerQueue) -> bool:
        return self._backlog.waits_for(queue.board) and not queue.closing

    @staticmethod
    def _take_from_all(board: str, queues: Collection[WorkerQueue]) -> None:
        for queue in queues:
            queue.board = None if queue.board == board else queue.board

    def _give(self, board: str, queues: Collection[WorkerQueue], now_s: float) -> bool:
        """Give a board to a worker that has none, or for whose board no test waits."""
        holders = [queue for queue in queues if queue.may_use(board)]
        able = [
            queue
            for queue in holders or queues
            if not queue.closing and not self._backlog.waits_for(queue.board)
        ]
        if not able:
            return False
        best = min(able, key=lambda queue: (queue.board is not None, queue.left_s(now_s)))
        best.board = board
        return True


def _last_end(busy_s: list[float], works_s: Iterable[float]) -> float:
    """Return after how many seconds all workers end that take works as a whole, the longest first."""
    for work_s in sorted(works_s, reverse=True):
        busy_s.sort()
        busy_s[0] += work_s
    return max(busy_s)


def common_end(work_s: float, busy_s: Sequence[float]) -> float:
    """Return after how many seconds all workers end if work could be divided at will.

    Args:
        work_s: Seconds of work to divide.
        busy_s: Seconds for which each worker is busy already.
    """
    ordered = sorted(busy_s)
    for count, (sum_s, following_s) in enumerate(
        zip(accumulate(ordered), [*ordered[1:], float("inf")], strict=True), start=1
    ):
        end_s = (work_s + sum_s) / count
        if end_s <= following_s:
            return end_s
    raise AssertionError("no end is later than infinity")  # pragma: no cover


def divide(
    tests: Sequence[int],
    cost_s: Callable[[int], float],
    busy_s: Mapping[str, float],
    *,
    long_first: bool = True,
) -> dict[str, list[int]]:
    """Give each test to one worker.

    Args:
        tests: Indices in the order of collection.
        cost_s: Seconds that a test takes.
        busy_s: Seconds for which each worker has work already; at least one worker.
        long_first: Long tests go first, each to the worker that is free the earliest; not if tests run with
            different images: a flash takes longer than what that gains.

    Returns:
        Each worker's tests, in the order in which it should run them.
    """
    ends_s = dict(busy_s)
    shares: dict[str, list[int]] = {worker: [] for worker in busy_s}
    costs_s = {index: cost_s(index) for index in tests}
    limit_s = math.inf if not long_first else LONG * common_end(sum(costs_s.values()), list(busy_s.values()))
    long = sorted((index for index in tests if costs_s[index] > limit_s), key=lambda index: -costs_s[index])
    for index in long:
        worker = min(ends_s, key=ends_s.__getitem__)
        shares[worker].append(index)
        ends_s[worker] += costs_s.pop(index)
    _fill(costs_s, ends_s, shares)
    return shares


def _fill(costs_s: Mapping[int, float], ends_s: Mapping[str, float], shares: dict[str, list[int]]) -> None:
    """Lay the tests end to end, and cut that length into each worker's room at the middle of a test."""
    end_s = common_end(sum(costs_s.values()), list(ends_s.values()))
    workers = iter(ends_s)
    worker = next(workers)
    room_s = max(0.0, end_s - ends_s[worker])
    laid_s = 0.0
    for index, seconds in costs_s.items():
        while laid_s + seconds / 2 >= room_s and (following := next(workers, None)) is not None:
            worker = following
            room_s += max(0.0, end_s - ends_s[worker])
        shares[worker].append(index)
        laid_s += seconds


def partition_tests(
    backlog: Backlog, queues: Sequence[WorkerQueue], costs: Costs, flashes: FlashOrder, now_s: float
) -> dict[str, list[int]]:
    """Divide all unsent tests that can run now: first those for few boards, last those without a board.

    A test goes to a board that had its image and has another one now only if there is no other board for it.

    Returns:
        Each worker's share; the next test is at its end, hardware tests are next.
    """
    busy_s = {queue.name: queue.left_s(now_s) for queue in queues}
    holders = {queue.board: queue.name for queue in queues if queue.board}
    groups: dict[frozenset[str], list[int]] = {}
    for index, boards in backlog.sendable():
        good = frozenset(one for one in boards if not flashes.has_left(index, one))
        groups.setdefault(boards if good.isdisjoint(holders) else good, []).append(index)
    shares: dict[str, list[int]] = {worker: [] for worker in busy_s}
    for boards, tests in sorted(groups.items(), key=lambda group: len(group[0]) or len(holders) + 1):
        able = [holders[board] for board in holders if board in boards] if boards else list(busy_s)
        if not able:
            continue
        long_first = not flashes.has_different_images(tests, boards)
        able_s = {worker: busy_s[worker] for worker in able}
        for worker, share in divide(tests, costs.of, able_s, long_first=long_first).items():
            shares[worker] += share
            busy_s[worker] += sum(map(costs.of, share))
    return {
        queue.name: _in_order(shares[queue.name], backlog, flashes, queue.board)[::-1] for queue in queues
    }


def _in_order(share: list[int], backlog: Backlog, flashes: FlashOrder, board: str | None) -> list[int]:
    """Return a worker's share with the tests of one image together, those without a board last."""
    hardware = [index for index in share if backlog.boards_for(index)]
    return flashes.together(hardware, board) + [index for index in share if not backlog.boards_for(index)]
