"""Give each test one outcome: a skip in the tear-down of a test replaces its pass in the terminal's counts.

pytest reports a body before its tear-down begins. A test that lost its board in its own tear-down was not
tested to its end: JUnit, ledger and history call it skipped, and so do the terminal's counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.suite.outcome.user_properties import has_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TeardownSkips"]


class TeardownSkips:
    """Corrects the counts of the process that has the terminal.

    Args:
        config: The run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remove the pass from the terminal's counts when the tear-down reports that the board was lost."""
        if report.when != "teardown" or not report.skipped:
            return
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and has_verdict(report):
            terminal.stats["passed"] = _without(terminal.stats.get("passed", ()), report.nodeid)
            if not terminal.stats["passed"]:
                del terminal.stats["passed"]


def _without(passes: Iterable[pytest.TestReport], nodeid: str) -> list[pytest.TestReport]:
    return [one for one in passes if one.nodeid != nodeid]
