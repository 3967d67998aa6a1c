"""The tests that no worker has been sent yet, and the boards that they wait for."""

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
        boards: Serial numbers of the boards of this run; a wish for any other counts for nothing.
    """

    def __init__(self, wanted: Sequence[frozenset[str]], boards: Iterable[str]) -> None:
        self.boards = list(boards)
        self.plain = 0  # how many of the unsent tests need no board
        self._wanted = [wish & frozenset(self.boards) for wish in wanted]
        self._unsent: set[int] = set()
        self._waiting: Counter[str] = Counter()
        self.put(range(len(wanted)))

    def __len__(self) -> int:
        return len(self._unsent)

    def __iter__(self) -> Iterator[int]:
        """The tests in the order of collection."""
        return iter(sorted(self._unsent))

    def put(self, indices: Iterable[int]) -> None:
        """These are unsent (again)."""
        for index in set(indices) - self._unsent:
            self._unsent.add(index)
            self._waiting.update(self._wanted[index])
            self.plain += not self._wanted[index]

    def take(self, index: int) -> None:
        """This one is sent now."""
        self._unsent.remove(index)
        self._waiting.subtract(self._wanted[index])
        self.plain -= not self._wanted[index]

    def boards_for(self, index: int) -> frozenset[str]:
        """The boards that will do for a test, sent or not; none if it needs none."""
        return self._wanted[index]

    def waits_for(self, board: str | None) -> bool:
        """Whether an unsent test could run on that board."""
        return board is not None and self._waiting[board] > 0

    def waiting_for(self, board: str) -> list[int]:
        """The unsent tests that could run on that board."""
        if not self._waiting[board]:
            return []
        return [index for index in self._unsent if board in self._wanted[index]]

    def urgency(self, board: str) -> float:
        """How much depends on that board: a test that no other board can run counts most."""
        return sum(1 / len(self._wanted[index]) ** 3 for index in self.waiting_for(board))

    def lose(self, board: str) -> None:
        """A board is gone: what only it could run needs none from now on."""
        unsent = list(self)
        for index in unsent:
            self.take(index)
        self.boards.remove(board)
        self._wanted = [wish - {board} for wish in self._wanted]
        self.put(unsent)
