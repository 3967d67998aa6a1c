"""The tests that were sent to an xdist worker and have not ended, and which of them another worker gets.

An xdist worker starts a test only when it knows the next test, or that there is none. So of the tests that it
was sent, the first runs, the second is bound to follow, and only the others can be asked back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from hil.suite.xdist.costs import Costs

__all__ = ["BOUND", "Steal", "WorkerQueue", "best_steal"]

BOUND = 2
"""Tests that cannot be asked back: the one that runs, and the one that follows."""

DEPTH = 3
"""How many tests are sent: one more, so that no worker waits for the controller between two tests."""

LONGEST = 32
LOOK_AHEAD_S = 0.1
"""Very short tests are sent in bunches that take this long, in seconds."""

GAIN_S = 0.02
"""The smallest gain worth a steal, in seconds: asking a test back costs a round trip."""


@dataclass(slots=True)
class WorkerQueue:
    """The tests of one worker.

    Attributes:
        name: The worker.
        costs: How long tests take.
        tests: Indices in the order sent.
        board: The board whose tests the worker is sent now.
        boards: The board of each hardware test.
        partners: The partners of each test that has any.
        last: Hardware tests after which the worker was told to release its board.
        closing: The worker was told that no test follows.
        asked_back: The worker was asked for tests and has not answered.
        began_s: When the first test began, by the scheduler's clock.
        held: The boards that the worker has from the test before the first.
    """

    name: str
    costs: Costs
    tests: list[int] = field(default_factory=list)
    board: str | None = None
    boards: dict[int, str] = field(default_factory=dict)
    partners: dict[int, tuple[str, ...]] = field(default_factory=dict)
    last: frozenset[int] = frozenset()
    closing: bool = False
    asked_back: bool = False
    began_s: float = 0.0
    held: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether the first test may have begun."""
        return len(self.tests) >= BOUND or (self.closing and bool(self.tests))

    @property
    def accepts(self) -> bool:
        """Whether the worker can be sent a test.

        While it is asked for tests, it is not: a test after those would follow the test before them, and that
        may begin before it is told whether it is the last on its board.
        """
        return not self.closing and not self.asked_back

    @property
    def returnable(self) -> list[int]:
        """The tests that may be returned: all but the first, if the worker has its boards."""
        has_boards = self.runs and self.held == self.boards_of(self.tests[0]) != ()
        return self.tests[has_boards:]

    def may_use(self, board: str) -> bool:
        """Return True if a test runs on a board."""
        return board in self.boards.values() or any(board in some for some in self.partners.values())

    def boards_of(self, index: int) -> tuple[str, ...]:
        """Return the boards of a test."""
        return (self.boards[index], *self.partners.get(index, ())) if index in self.boards else ()

    def add(self, index: int, board: str | None, now_s: float, partners: tuple[str, ...] = ()) -> None:
        """Append a test."""
        ran = self.runs
        self.tests.append(index)
        self.last -= {index}
        if board is not None:
            self.boards[index] = board
        if partners:
            self.partners[index] = partners
        if self.runs and not ran:
            self.began_s = now_s

    def close(self, now_s: float) -> None:
        """Note that no test follows: the last test may begin."""
        if not self.runs:
            self.began_s = now_s
        self.closing = True

    def finish(self, index: int, now_s: float, *, ran: bool = True) -> None:
        """Remove a test that has ended, or was returned when it was to begin; the next test begins."""
        self.held = self.boards_of(index) if ran and index not in self.last else ()
        self.remove([index])
        self.began_s = now_s

    def remove(self, indices: Sequence[int]) -> None:
        """Remove tests that have ended or were returned."""
        gone = set(indices)
        self.tests = [index for index in self.tests if index not in gone]
        for index in gone:
            self.boards.pop(index, None)
            self.partners.pop(index, None)

    def keeps(self, boards: Container[str]) -> bool:
        """Return True if the worker has one of these boards and was not told to release it."""
        ends = (index for index, board in self.boards.items() if board == self.board)
        return self.board is not None and self.board in boards and self.last.isdisjoint(ends)

    def starts_s(self, now_s: float) -> Iterator[float]:
        """Yield in how many seconds each test begins, and last in how many no test is left."""
        at_s = 0.0
        for position, index in enumerate(self.tests):
            yield at_s
            cost_s = self.costs.of(index)
            if position == 0 and self.runs:
                cost_s = abs(cost_s - (now_s - self.began_s))  # a test that is overdue takes as long again
            at_s += cost_s
        yield at_s

    def left_s(self, now_s: float) -> float:
        """Return in how many seconds the worker has no test left."""
        *_, end_s = self.starts_s(now_s)
        return end_s

    def take_last(self) -> list[int]:
        """Return, once each, the tests after which the worker is to release its board, before they begin.

        The next test decides that, because a test begins only when the next is known and bound to follow.
        """
        found = [
            index
            for index, follower in zip_longest(self.tests, self.tests[1:])
            if index in self.boards and index not in self.last and self._ends_use(index, follower)
        ]
        self.last |= {*found}
        return found

    def _ends_use(self, index: int, follower: int | None) -> bool:
        """Return True if the test after this one does not use its board, or not with the same partners."""
        if follower is None:
            return self.closing
        if index in self.partners:
            return self.boards_of(follower) != self.boards_of(index)
        return self.boards[index] not in self.boards_of(follower)

    @property
    def wants_more(self) -> bool:
        """Whether the worker should be sent another test, if there is one for it."""
        if not self.accepts or len(self.tests) >= LONGEST:
            return False
        return len(self.tests) < DEPTH or sum(map(self.costs.of, self.tests[1:])) < LOOK_AHEAD_S


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
