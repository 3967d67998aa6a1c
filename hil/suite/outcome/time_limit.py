"""Pause and restart pytest-timeout's timer of a test, and run it for tear-downs, by its public hooks.

pytest-timeout's timer fires once, and pytest-timeout cancels it at the first exception, before debuggers
open. A hang after that, such as in the tear-down of a failed test, would hold the board forever. A timer that
fires outside set-up, body and tear-down would end the whole run.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.dutlink.timing import outer_limit

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["LastingTimeLimit", "TimeLimit"]

_SHORTEST_INTERVAL_S: Final = 1.0
_SHORTEST_REST_S: Final = 0.001
"""A timer that is started with less would not run at all."""


class TimeLimit:
    """A plugin that knows the timer of the present test, or of the latest one that had a limit.

    Attributes:
        runs: Whether the timer runs.
    """

    def __init__(self) -> None:
        self.runs = False
        self._latest: tuple[pytest.Item, Any] | None = None
        self._ends_s = 0.0

    @property
    def is_for_fixtures(self) -> bool:
        """Whether the latest test has a limit for its fixtures, too, and no debugger may be open."""
        if self._latest is None:
            return False
        item, settings = self._latest
        return not settings.func_only and not _may_debug(item)

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> None:  # noqa: ANN401 - theirs
        """Remember the timer, and tell it to the driver's waits; pytest-timeout starts it."""
        self._latest = item, settings
        self._started(item, settings.timeout)

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self) -> None:
        """Note that the timer stops; pytest-timeout stops it."""
        self.runs = False
        outer_limit.left_s, outer_limit.suspended = None, nullcontext

    def forget(self) -> None:
        """Forget the latest test: the present one may have no limit."""
        self._latest = None

    def start(self) -> None:
        """Start the timer of the latest test with its whole limit, if it is stopped."""
        if self._latest is not None and not self.runs:
            item, settings = self._latest
            item.config.hook.pytest_timeout_set_timer(item=item, settings=settings)

    def stop(self) -> None:
        """Stop the timer if it runs."""
        if self._latest is not None and self.runs:
            item, _ = self._latest
            item.config.hook.pytest_timeout_cancel_timer(item=item)

    @contextmanager
    def stopped_then_reset(self) -> Iterator[None]:
        """Stop the timer for a block, and start it with the whole limit after the block."""
        if not self.runs:
            yield
            return
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def stopped_then_resumed(self, shortest_s: float = _SHORTEST_REST_S) -> Iterator[None]:
        """Stop the timer for a block, then start it with the time that was left, at least `shortest_s`.

        In another thread the timer keeps running: the limit is the main thread's.
        """
        if not self.runs or self._latest is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        item, settings = self._latest
        left_s = max(shortest_s, self._left_s())
        self.stop()
        try:
            yield
        finally:
            if settings.method == "signal":  # with the whole limit, which is in its message
                self.start()
                _, interval_s = signal.getitimer(signal.ITIMER_REAL)
                signal.setitimer(signal.ITIMER_REAL, left_s, interval_s)
            else:
                rest = settings._replace(timeout=left_s)
                item.config.hook.pytest_timeout_set_timer(item=item, settings=rest)
            self._latest = item, settings
            self._started(item, left_s)

    def _started(self, item: pytest.Item, left_s: float | None) -> None:
        self.runs = True
        self._ends_s = time.monotonic() + (left_s or 0.0)
        outer_limit.suspended = self.stopped_then_resumed
        if self._latest is not None:
            outer_limit.whole_s = self._latest[1].timeout or 0.0
        if left_s and not _may_debug(item):
            outer_limit.left_s = self._left_s

    def _left_s(self) -> float:
        """Return the seconds until the timer fires next; a timer by signal fires more than once."""
        left_s, interval_s = signal.getitimer(signal.ITIMER_REAL)
        return left_s if interval_s else self._ends_s - time.monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the timer for a block that ends fixtures, if it does not run already."""
        if self.runs or not self.is_for_fixtures:
            yield
            return
        self.start()
        try:
            yield
        finally:
            self.stop()


class LastingTimeLimit:
    """A plugin that keeps each test's limit after an exception, until the end of the test's tear-down.

    The timer is then started with the whole limit. It fires again after each further limit, so that a second
    hang is ended, too.

    Args:
        limit: The timer.
    """

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Forget the limit of the previous test."""
        self._limit.forget()
        return (yield)

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_timeout_set_timer(self, settings: Any) -> Generator[None, object, object]:  # noqa: ANN401 - theirs
        """Let a timer by signal fire more than once; a timer by thread needs to fire only once."""
        result = yield
        if settings.method == "signal":
            remaining_s, _ = signal.getitimer(signal.ITIMER_REAL)
            if remaining_s:
                interval_s = max(settings.timeout, _SHORTEST_INTERVAL_S)
                signal.setitimer(signal.ITIMER_REAL, remaining_s, interval_s)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Start the timer for an attempt that another plugin makes within one protocol."""
        if self._limit.is_for_fixtures:
            self._limit.start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> Generator[None, object, object]:
        """Stop the timer while the report is made: its exception there would end the whole run."""
        if call.excinfo is not None:
            with self._limit.stopped_then_reset():
                return (yield)
        # an exception in what follows is reported, too
        with self._limit.stopped_then_resumed(_SHORTEST_INTERVAL_S):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector
    ) -> Generator[None, object, object]:
        """Start the timer again after debuggers, if pytest-timeout stopped it for this exception."""
        ran = self._limit.runs
        result = yield
        if ran and not _may_debug(node):
            self._limit.start()
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """Stop the timer after the tear-down: what follows does not belong to the test."""
        try:
            return (yield)
        finally:
            self._limit.stop()


def _may_debug(node: pytest.Item | pytest.Collector) -> bool:
    """Return True if a debugger opens at exceptions (`--pdb`): the user may take any time then."""
    return bool(node.config.getoption("usepdb", default=False))
