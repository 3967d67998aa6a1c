"""Fail tests whose markers contradict each other or have wrong arguments; the other tests run."""

from __future__ import annotations

import pytest

from hil.suite.markers import MARKER_ERROR

__all__ = ["MarkerErrors"]


class MarkerErrors:
    """A pytest plugin, registered only if the run has such tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Raise the error of a test's markers.

        Raises:
            UsageError: The markers contradict each other, or one has an argument that it does not take.
        """
        mistake = item.stash.get(MARKER_ERROR, None)
        if mistake is not None:
            raise mistake
