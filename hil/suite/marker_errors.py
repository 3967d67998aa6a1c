"""Fail tests with wrong markers or unknown fixtures; the other tests run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.suite.markers import MARKER_ERROR

if TYPE_CHECKING:
    import pytest

__all__ = ["MarkerErrors"]


class MarkerErrors:
    """A pytest plugin, registered only if the run has such tests."""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Raise the error of a test's markers or fixtures, unless a marker skips the test.

        Raises:
            UsageError: The markers contradict each other, or one has an argument that it does not take, or a
                fixture does not exist.
        """
        mistake = item.stash.get(MARKER_ERROR, None)
        if mistake is not None:
            raise mistake
