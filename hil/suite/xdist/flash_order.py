"""The order of images on boards, with `-n`: a flash takes long, so a board gets each of its images once.

In a run of one process `hil.suite.images.order_of_tests` puts tests with one image together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hil.suite.xdist.backlog import Backlog

__all__ = ["FlashOrder", "ImageSequence"]


class FlashOrder:
    """The images that boards have had in this run, by the tests that were sent.

    Args:
        images: For each test, by index, and each board the image that the test would have there, as a key;
            empty or missing: any image will do.
    """

    def __init__(self, images: Mapping[int, Mapping[str, str]] | None = None) -> None:
        self._images = images or {}
        self._had: dict[str, list[tuple[str, set[int]]]] = defaultdict(list)  # images, each with its tests

    def sent(self, index: int, boards: Iterable[str]) -> None:
        """Note that a test was sent to run on boards."""
        for board in boards:
            if self.must_flash(index, board):
                self._had[board].append((self._image(index, board), set()))
            if self._image(index, board):
                self._had[board][-1][1].add(index)

    def returned(self, indices: Iterable[int]) -> None:
        """Note that tests that were sent have not run: a board had no image for them."""
        gone = set(indices)
        for board, had in self._had.items():
            self._had[board] = [(image, tests - gone) for image, tests in had if tests - gone]

    def must_flash(self, index: int, board: str | None) -> bool:
        """Return True unless the board's last image is the one that the test needs, or it needs none."""
        return bool(board) and self._image(index, board) not in ("", *self._present(board))

    def has_left(self, index: int, board: str) -> bool:
        """Return True if a board had the image of a test, and has another one now."""
        wanted = self._image(index, board)
        return self.must_flash(index, board) and any(image == wanted for image, _ in self._had[board])

    def sequence(self, partnered: Iterable[int]) -> ImageSequence:
        """Return the sequence in which boards change their images.

        Args:
            partnered: The tests with partners; if none of them has an image, each board has its own sequence.
        """
        has_both = any(any(self._images.get(index, {}).values()) for index in partnered)
        return ImageSequence(self._images if has_both else None)

    def next_together(self, backlog: Backlog) -> tuple[tuple[str, ...], list[int]]:
        """Return the tests with partners that are to be sent next, and their boards.

        They have the same boards and images. Those for which fewest boards are flashed go first.
        """
        groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
        for index in backlog.partnered():
            boards = backlog.boards_together(index)
            groups.setdefault(tuple((one, self._image(index, one)) for one in boards), []).append(index)
        for on_boards, tests in sorted(groups.items(), key=lambda group: self._flashes(group[1], group[0])):
            boards = tuple(board for board, _ in on_boards)
            if not self._holds_back(tests[0], boards, backlog):
                return boards, tests
        return (), []

    def has_different_images(self, tests: Iterable[int], boards: Iterable[str]) -> bool:
        """Return True if tests run with different images on a board."""
        tests = list(tests)
        return any(len({self._image(index, board) for index in tests} - {""}) > 1 for board in boards)

    def together(self, tests: Iterable[int], board: str | None) -> list[int]:
        """Return tests in the order in which they should run on a board: its present image goes first."""
        order = dict.fromkeys(self._present(board))
        tests = list(tests)
        order |= dict.fromkeys(self._image(index, board) for index in tests)
        groups: dict[str, list[int]] = {image: [] for image in order}
        for index in tests:
            groups[self._image(index, board)].append(index)
        return [index for group in groups.values() for index in group]

    def _image(self, index: int, board: str | None) -> str:
        return self._images.get(index, {}).get(board or "", "")

    def _present(self, board: str | None) -> list[str]:
        """Return the present image of a board; none if it had none."""
        return [image for image, _ in self._had[board][-1:]] if board else []

    def _flashes(self, tests: list[int], boards: Iterable[tuple[str, str]]) -> int:
        return sum(self.must_flash(tests[0], board) for board, _ in boards)

    def _holds_back(self, index: int, boards: Sequence[str], backlog: Backlog) -> bool:
        """Return True if a test with partners waits for tests with one board.

        It waits for tests with an image before its own, and, if its own is the last, for all: bringing boards
        together costs the other worker, unless it is the first or the last thing.
        """
        images = backlog.images
        if not images:
            return False
        if not all(images.is_next(self._image(index, board), board) for board in boards):
            return True
        began = any(self._had[board] for board in boards)
        is_last = not any(map(images.comes_later, boards))
        return began and is_last and any(map(backlog.waits_for, boards))


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
