"""Stops pytest-timeout's clock of one test while a board is looked at.

A look may take longer than a test; and a limit that strikes outside of set-up, body and tear-down would end
the whole run. By pytest-timeout's own hooks, which are public.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TimeLimitPause"]

_RUNNING = pytest.StashKey[Any]()


class TimeLimitPause:
    """A plugin that remembers whose clock runs, and with which settings."""

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> None:  # noqa: ANN401 - theirs
        """Remember the clock of a test that uses a board; pytest-timeout starts it."""
        item.stash[_RUNNING] = settings

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> None:
        """Forget it; pytest-timeout stops it."""
        item.stash[_RUNNING] = None

    @staticmethod
    @contextmanager
    def paused(item: pytest.Item) -> Iterator[None]:
        """Stop the test's clock for a block, and start it again from the beginning."""
        settings = item.stash.get(_RUNNING, None)
        if settings is None:
            yield
            return
        item.config.hook.pytest_timeout_cancel_timer(item=item)
        try:
            yield
        finally:
            item.config.hook.pytest_timeout_set_timer(item=item, settings=settings)
