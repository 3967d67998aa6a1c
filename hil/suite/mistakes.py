"""Tests whose markers contradict each other, or are given what they do not take, fail; the others run."""

from __future__ import annotations

import pytest

from hil.suite.selection import MISTAKE

__all__ = ["Mistakes"]


class Mistakes:
    """The plugin, in a run that has such tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let such a test say what is wrong with it.

        Raises:
            UsageError: That.
        """
        mistake = item.stash.get(MISTAKE, None)
        if mistake is not None:
            raise mistake
