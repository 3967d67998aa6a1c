"""The order of images on boards, with `-n`: a flash takes long, so a board gets each of its images once.

In a run of one process `hil.suite.columns.plugin` puts tests with one image together.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.suite.xdist.backlog import Backlog

__all__ = ["FlashOrder"]


class FlashOrder:
    """The images that boards have had in this run, by the tests that were sent.

    Args:
        images: The image of each test that does not run with any, as a key, by index.
    """

    def __init__(self, images: Mapping[int, str] | None = None) -> None:
        self._images = images or {}
        self._had: dict[str, list[str]] = defaultdict(list)

    def sent(self, index: int, boards: Iterable[str]) -> None:
        """Note that a test was sent to run on boards."""
        image = self._images.get(index)
        if not image:
            return
        for board in boards:
            if self._had[board][-1:] != [image]:
                self._had[board].append(image)

    def must_flash(self, index: int, board: str | None) -> bool:
        """Return True unless the board's last image is the one that the test needs, or it needs none."""
        return bool(board) and self._images.get(index, "") not in ("", *self._had[str(board)][-1:])

    def has_left(self, index: int, board: str) -> bool:
        """Return True if a board had the image of a test, and has another one now."""
        return self.must_flash(index, board) and self._images[index] in self._had[board]

    def holds_back(self, index: int, board: str, backlog: Backlog) -> bool:
        """Return True if a test waits, because other tests are to run first with a board's present image."""
        return self.must_flash(index, board) and any(
            board in backlog.boards_for(other) and not self.must_flash(other, board) for other in backlog
        )

    def has_one_image(self, index: int, other: int) -> bool:
        """Return True if two tests run with the same image."""
        return self._images.get(index) == self._images.get(other)

    def has_different_images(self, tests: Iterable[int]) -> bool:
        """Return True if tests run with different images."""
        return len({self._images.get(index, "") for index in tests} - {""}) > 1

    def together(self, tests: Iterable[int], board: str | None) -> list[int]:
        """Return tests in the order in which they should run on a board: its present image goes first."""
        order = dict.fromkeys(self._had[board][-1:] if board else [])
        tests = list(tests)
        order |= dict.fromkeys(self._images.get(index, "") for index in tests)
        groups: dict[str, list[int]] = {image: [] for image in order}
        for index in tests:
            groups[self._images.get(index, "")].append(index)
        return [index for group in groups.values() for index in group]
