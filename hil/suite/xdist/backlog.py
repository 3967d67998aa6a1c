"""The tests that were not sent to a worker yet, and the boards and images that they wait for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from hil.lab.locks.choice import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["Backlog", "ImageSequence"]


class Backlog:
    """Unsent tests.

    Args:
        wanted: For each test, by index, the boards that will do; none for a test that uses no board.
        boards: Serial numbers of the boards of this run; other boards count for nothing.
        partnered: For each test with partners, the boards that will do for each of its boards.
        images: The sequence of the images of boards.

    Attributes:
        images: The argument.
    """

    def __init__(
        self,
        wanted: Sequence[frozenset[str]],
        boards: Iterable[str],
        partnered: Mapping[int, Sequence[frozenset[str]]] | None = None,
        images: ImageSequence | None = None,
    ) -> None:
        self.boards = list(boards)
        self.images = images if images is not None else ImageSequence()
        self._partnered = partnered or {}
        self._unsent_partnered: set[int] = set()
        self.plain = 0  # number of unsent tests without a board
        self._wanted = [requirement & frozenset(self.boards) for requirement in wanted]
        self.deferred: set[str] = set()  # boards that other processes hold, to be tried again at the end
        self.retried: set[str] = set()  # boards that were deferred before
        self._aside: set[int] = set()  # tests that only deferred boards can run
        self._unsent: set[int] = set()
        self._waiting: dict[str, Counter[str]] = defaultdict(Counter)  # tests with one board, by image
        self.put(range(len(wanted)))

    def __len__(self) -> int:
        return len(self._unsent) + len(self._unsent_partnered) + len(self._aside)

    def sendable(self) -> Iterator[tuple[int, frozenset[str]]]:
        """Yield the tests with one board or none that can be sent now, in the order of collection.

        Each comes with the boards that will do for it and are to have its image now.
        """
        for index in sorted(self._unsent):
            boards = frozenset(
                board
                for board in self.boards_for(index)
                if self.images.is_next(self.images.of(index, board), board)
            )
            if boards or not self._wanted[index]:
                yield index, boards

    def put(self, indices: Iterable[int]) -> None:
        """Add tests that are unsent, or unsent again."""
        for index in set(indices) - self._unsent - self._unsent_partnered - self._aside:
            if self._choose(index, set(self.boards)):
                together = self.boards_together(index)
                (self._unsent_partnered if together else self._aside).add(index)
                self.images.put(index, together)
                continue
            if self._wanted[index] and self._wanted[index] <= self.deferred:
                self._aside.add(index)
                continue
            self._unsent.add(index)
            self.images.put(index, self._wanted[index])
            for board in self._wanted[index]:
                self._waiting[board][self.images.of(index, board)] += 1
            self.plain += not self._wanted[index]

    def take(self, index: int) -> bool:
        """Remove a test that is sent; return True if it was the last that wanted a board with an image."""
        is_last = self.images.take(index)
        if index in self._unsent_partnered:
            self._unsent_partnered.remove(index)
            return is_last
        self._unsent.remove(index)
        for board in self._wanted[index]:
            self._waiting[board][self.images.of(index, board)] -= 1
        self.plain -= not self._wanted[index]
        return is_last

    def boards_together(self, index: int) -> tuple[str, ...]:
        """Return the board and the partners that a test gets; none if it has no partners.

        None, too, if too few boards can be used now. Tests with the same requirement get the same boards.
        """
        return self._choose(index, set(self.boards) - self.deferred)

    def partnered(self) -> list[int]:
        """Return the unsent tests with partners, in the order of collection."""
        return sorted(self._unsent_partnered)

    def has_partners(self, index: int) -> bool:
        """Return True if a test has partners, and there are enough boards."""
        return bool(self._choose(index, set(self.boards)))

    def _choose(self, index: int, usable: set[str]) -> tuple[str, ...]:
        choices = [
            [board for board in self.boards if board in some] for some in self._partnered.get(index, ())
        ]
        return tuple(choose(choices, usable) or ())

    def boards_for(self, index: int) -> frozenset[str]:
        """Return the boards that will do for a test, sent or not; none if it needs no board."""
        return self._wanted[index] - self.deferred

    def waits_for(self, board: str | None) -> bool:
        """Return True if an unsent test could run on a board now."""
        if board is None or board in self.deferred:
            return False
        return any(
            number > 0 and self.images.is_next(image, board) for image, number in self._waiting[board].items()
        )

    def wants(self, board: str) -> bool:
        """Return True if an unsent test could run on a board, now or later."""
        others = self._aside | self._unsent_partnered
        return any(self._waiting[board].values()) or any(self.suits(index, board) for index in others)

    def suits(self, index: int, board: str) -> bool:
        """Return True if a test, sent or not, could run on a board, or have it as a partner."""
        return board in self._wanted[index] or any(board in some for some in self._partnered.get(index, ()))

    def urgency(self, board: str) -> float:
        """Return how much depends on a board: tests that no other board can run count most.

        The order in which boards are given out saves set-ups of boards, of two seconds each.
        """
        waiting = (index for index in self._unsent if board in self._wanted[index])
        return sum(1 / len(self._wanted[index]) ** 3 for index in waiting)

    def has_own(self, board: str) -> bool:
        """Return True if an unsent test can run on this board only."""
        return any(self.boards_for(index) == {board} for index in self._unsent)

    def work_s(self, cost_s: Callable[[int], float]) -> Mapping[str, float]:
        """Return how long the unsent tests take that one board only can run, by board; all others by "".

        Args:
            cost_s: Seconds that a test takes.
        """
        work_s: dict[str, float] = defaultdict(float)
        for index in self._unsent:
            board, *others = self.boards_for(index) or [""]
            work_s["" if others else board] += cost_s(index)
        return work_s

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
        if self._unsent or self._unsent_partnered or not self._aside:
            return False
        kept = self._take_all()
        self.retried |= self.deferred
        self.deferred.clear()
        self.put(kept)
        return True

    def _take_all(self) -> list[int]:
        """Remove all tests, also those kept for the end, and return them."""
        unsent = [*sorted(self._unsent), *sorted(self._unsent_partnered)]
        for index in unsent:
            self.take(index)
        kept = sorted(self._aside)
        self._aside.clear()
        return unsent + kept


class ImageSequence:
    """The unsent tests by board and image: a board has an image until no test wants it there.

    All boards change their images in the same sequence, and none goes back to an image.

    Args:
        images: For each test, by index, and each board the image that the test would have there; none if
            every test can be sent at any time.
    """

    def __init__(self, images: Mapping[int, Mapping[str, str]] | None = None) -> None:
        self._images = images or {}
        self._order = list(
            dict.fromkeys(
                image
                for _, on_boards in sorted(self._images.items())
                for image in on_boards.values()
                if image
            )
        )
        self._wanting: dict[str, Counter[str]] = defaultdict(Counter)  # numbers of tests, by image
        self._is_lifted = False
        self._boards: dict[int, tuple[str, ...]] = {}

    def __bool__(self) -> bool:
        """Return True if tests wait for the images of boards."""
        return bool(self._images)

    def of(self, index: int, board: str) -> str:
        """Return the image of a test on a board; empty if it does not matter."""
        return self._images.get(index, {}).get(board, "")

    def put(self, index: int, boards: Iterable[str]) -> None:
        """Add a test that may run on any of these boards, or on all of them."""
        if index in self._images:
            self._boards[index] = tuple(boards)
            for board in self._boards[index]:
                self._wanting[board][self.of(index, board)] += 1

    def take(self, index: int) -> bool:
        """Remove a test; return True if it was the last that wanted a board with an image."""
        is_last = False
        for board in self._boards.pop(index, ()):
            image = self.of(index, board)
            self._wanting[board][image] -= 1
            is_last |= bool(image) and not self._wanting[board][image]
        return is_last

    def lift(self) -> bool:
        """Let tests be sent at any time, because none could be sent; return True if that changes anything."""
        order, self._order = self._order, []
        self._is_lifted |= bool(order)
        return bool(order)

    def is_next(self, image: str, board: str) -> bool:
        """Return True if a board may have an image now."""
        if not image or self._is_lifted:
            return True
        return image == next((one for one in self._order if self._wanting[board][one]), "")

    def comes_later(self, board: str | None) -> bool:
        """Return True if a test wants a board with an image after the one that it is to have now."""
        return board is not None and sum(self._wanting[board][image] > 0 for image in self._order) > 1
