"""pytest hooks around each attempt of a test, in every run, also of tests that use no board.

One hook calls several modules in a fixed order: calling a hook takes longer than what most of them do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.suite.outcome.reruns import label_attempts

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.suite.outcome.caught_errors import CaughtErrors
    from hil.suite.outcome.short_failures import ShortFailures
    from hil.suite.recording.numbers import NumberRecorder

__all__ = ["AttemptHooks"]


class AttemptHooks:
    """The plugin, in the process that runs the tests.

    Args:
        short_failures: Shortens the traceback of an error of hil.
        caught_errors: Fails a test that caught an error of hil.
        numbers: Keeps what the test measures.
    """

    def __init__(
        self, short_failures: ShortFailures, caught_errors: CaughtErrors, numbers: NumberRecorder
    ) -> None:
        self._short_failures = short_failures
        self._caught_errors = caught_errors
        self._numbers = numbers

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Begin an attempt."""
        self._caught_errors.noted.clear()
        if self._numbers.are_wanted:
            self._numbers.begin()

    @pytest.hookimpl(wrapper=True)  # around xfail, inside of what decides on repetitions
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Revise the report of a phase, unless it raised, printed and measured nothing."""
        raised = call.excinfo
        report = yield
        if raised or call.excinfo or report.sections:
            label_attempts(item, report)
            self._short_failures.revise(item, call, report)
        if raised or call.excinfo or self._caught_errors.noted:
            self._caught_errors.revise(item, call, report, raised)
        if self._numbers.present:
            self._numbers.revise(item, call, report)
        return report
