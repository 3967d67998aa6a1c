"""Which tests of this process still need a board, so that it is released after the last of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.suite.markers import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

__all__ = ["RemainingTests", "gets_a_board"]


class RemainingTests:
    """The tests of a process that runs all of them; an xdist worker learns its tests one by one.

    Args:
        is_worker: Whether this is an xdist worker.

    Attributes:
        last: Node id of the last test that uses a board; empty if there is none, and in a worker.
    """

    def __init__(self, *, is_worker: bool) -> None:
        self.last = ""
        self._is_worker = is_worker
        self._following: dict[str, pytest.Item] = {}

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Note the tests, in their order."""
        if self._is_worker:
            return
        following: pytest.Item | None = None
        for item in reversed(items):
            if following is not None:
                self._following[item.nodeid] = following
            if gets_a_board(item):
                following = item
            if not self.last and kind_of(item) is not Kind.NO_HARDWARE:
                self.last = item.nodeid

    def next_with_board(self, item: pytest.Item, nextitem: pytest.Item) -> pytest.Item | None:
        """Return the next test for which a board is acquired; None if there is none, or it is not known yet.

        Args:
            item: The present test.
            nextitem: The next test of this process.
        """
        if self._is_worker:
            return nextitem if gets_a_board(nextitem) else None
        return self._following.get(item.nodeid)


def gets_a_board(item: pytest.Item) -> bool:
    """Return True if a board is acquired for a test before it begins."""
    return kind_of(item) is not Kind.NO_HARDWARE and item.get_closest_marker("skip") is None
