"""The order of images on boards, with `-n`: a flash takes long, so a board gets each of its images once.

In a run of one process `hil.suite.images.order_of_tests` puts tests with one image together.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from hil.suite.xdist.backlog import ImageSequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hil.suite.xdist.backlog import Backlog

__all__ = ["FlashOrder"]


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
