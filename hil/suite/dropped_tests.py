"""Count the tests that were deselected, and find hardware tests that were dropped without telling pytest.

`items[:] = ...` in `pytest_collection_modifyitems` leaves no trace: pytest prints how many tests were
deselected only if the hook `pytest_deselected` was called for them.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING

from hil.suite.markers import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

__all__ = ["DroppedTests"]


class DroppedTests:
    """A pytest plugin, in each process that collects.

    Attributes:
        deselected: How many tests pytest counts as deselected; with -n it prints no such count.
    """

    def __init__(self) -> None:
        self.deselected = 0
        self._collected: list[pytest.Item] = []
        self._left_out: list[pytest.Item] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note a test, before any hook can drop it."""
        self._collected.append(item)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count tests that pytest counts as deselected."""
        self.deselected += len(items)
        self._left_out += items

    def take(self, kept: Sequence[pytest.Item]) -> dict[str, str]:
        """Return the kinds of the hardware and mixed tests that are gone, by node id, and forget all tests.

        Args:
            kept: The tests that are to run. One of the same name may stand for a test that is gone.
        """
        collected, left_out = self._collected, self._left_out
        self._collected, self._left_out = [], []
        if len(collected) == len(kept) and all(map(is_, collected, kept)):
            return {}
        known = {id(item) for item in (*kept, *left_out)}
        found = [item for item in collected if id(item) not in known]
        names = {item.nodeid for item in kept} if found else set()
        kinds = {item.nodeid: kind_of(item) for item in found if item.nodeid not in names}
        return {nodeid: kind.value for nodeid, kind in kinds.items() if kind is not Kind.NO_HARDWARE}
