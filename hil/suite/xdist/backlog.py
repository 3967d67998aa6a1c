"""The tests that were not sent to a worker yet, and the boards that they wait for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Backlog"]


class Backlog:
    """Unsent tests.

    Args:
        wanted: For each test, by index, the boards that will do; none for a test that uses no board.
        boards: Serial numbers of the boards of this run; other boards count for nothing.
    """

    def __init__(self, wanted: Sequence[frozenset[str]], boards: Iterable[str]) -> None:
        self.boards = list(boards)
        self.plain = 0  # number of unsent tests without a board
        self._wanted = [requirement & frozenset(self.boards) for requirement in wanted]
        self.deferred: set[str] = set()  # boards that other processes hold, to be tried again at the end
        self.retried: set[str] = set()  # boards that were deferred before
        self._aside: set[int] = set()  # tests that only deferred boards can run
        self._unsent: set[int] = set()
        self._waiting: Counter[str] = Counter()
        self.put(range(len(wanted)))

    def __len__(self) -> int:
        return len(self._unsent) + len(self._aside)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the tests that can be sent now, in the order of collection."""
        return iter(sorted(self._unsent))

    def put(self, indices: Iterable[int]) -> None:
        """Add tests that are unsent, or unsent again."""
        for index in set(indices) - self._unsent - self._aside:
            if self._wanted[index] and self._wanted[index] <= self.deferred:
                self._aside.add(index)
                continue
            self._unsent.add(index)
            self._waiting.update(self._wanted[index])
            self.plain += not self._wanted[index]

    def take(self, index: int) -> None:
        """Remove a test that is sent now."""
        self._unsent.remove(index)
        self._waiting.subtract(self._wanted[index])
        self.plain -= not self._wanted[index]

    def boards_for(self, index: int) -> frozenset[str]:
        """Return the boards that will do for a test, sent or not; none if it needs no board."""
        return self._wanted[index] - self.deferred

    def waits_for(self, board: str | None) -> bool:
        """Return True if an unsent test could run on a board now."""
        return board is not None and board not in self.deferred and self._waiting[board] > 0

    def holds_back_for(self, board: str) -> bool:
        """Return True if a test is kept for the end because another process holds a board."""
        return any(board in self._wanted[index] for index in self._aside)

    def urgency(self, board: str) -> float:
        """Return how much depends on a board: tests that no other board can run count most.

        The order in which boards are given out saves set-ups of boards, of two seconds each.
        """
        waiting = (index for index in self._unsent if board in self._wanted[index])
        return sum(1 / len(self._wanted[index]) ** 3 for index in waiting)

    def lose(self, board: str) -> None:
        """Remove a board that cannot be used: tests that only it could run need none from now on."""
        unsent = self._take_all()
        self.boards.remove(board)
        self.deferred.discard(board)
        self._wanted = [requirement - {board} for requirement in self._wanted]
        self.put(unsent)

    def defer(self, board: str) -> None:
        """Keep the tests of a board that another process holds until no other test is left."""
        unsent = self._take_all()
        self.deferred.add(board)
        self.put(unsent)

    def revive(self) -> bool:
        """Add the tests that were kept for the end if no other is left; return True if there were any."""
        if self._unsent or not self._aside:
            return False
        kept = self._take_all()
        self.retried |= self.deferred
        self.deferred.clear()
        self.put(kept)
        return True

    def _take_all(self) -> list[int]:
        """Remove all tests, also those kept for the end, and return them."""
        unsent = list(self)
        for index in unsent:
            self.take(index)
        kept = sorted(self._aside)
        self._aside.clear()
        return unsent + kept
