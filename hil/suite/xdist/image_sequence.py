"""The sequence in which boards change their images, if boards come together for tests with images."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ImageSequence"]


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
