"""`--hil-repeat`: a test that fails on a board runs again from cold, and both results are kept.

A repetition starts where the first attempt did: every fixture is torn down, the DUT has been without power,
the board is safe. The first attempt is reported at once, with an outcome of its own; the test's verdict is
that of the last one, except that a pass is *flaky*. To pytest, JUnit and whoever else reads reports a flaky
test has failed: nothing takes it for green that does not know the word.

pytest-rerunfailures keeps the tests that it was asked to rerun (by `--reruns` or the marker `flaky`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.attempts import (
    BETWEEN,
    LABEL,
    REPEATED,
    Attempts,
    first_line,
    is_flaky,
    mark,
    tell_failed_parts,
    tell_flaky,
    tell_skipped,
)
from hil.suite.outcome.user_properties import has_verdict, overrule_judgement

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.suite.boards.plugin import BoardPlugin

__all__ = ["AttemptLabels", "Repeats", "attempts_of"]

_ATTEMPTS = pytest.StashKey[Attempts]()
_CAPTURED = "Captured "
_PRINTED_BY = pytest.StashKey[list[int]]()
"""The attempt that printed each captured section of a test, in their order."""


def attempts_of(item: pytest.Item) -> Attempts:
    """Return the attempts of a test."""
    return item.stash.setdefault(_ATTEMPTS, Attempts())


class Repeats:
    """The plugin, in every process of a run.

    Args:
        times: How often a test is repeated at most.
        boards: This process's board.
    """

    def __init__(self, times: int, boards: BoardPlugin) -> None:
        self._times = times
        self._boards = boards

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around the time limit, which begins anew
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test that has failed once more, as pytest runs any test."""
        result = yield
        attempts = attempts_of(item)
        if not attempts.again:
            return result
        self._boards.power_down(item)
        attempts.begin_next(item)
        return item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Know a subtest's report from that of the test."""
        attempts = attempts_of(item)
        attempts.in_body = True
        try:
            return (yield)
        finally:
            attempts.in_body = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Tear everything down before a repetition, also what the next test could have used."""
        if attempts_of(item).again:
            runner: Any = item.config.pluginmanager.get_plugin("runner")
            runner.pytest_runtest_teardown(item=item, nextitem=None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around xfail, and what hardware's verdicts make of errors
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Decide whether a failure is repeated, and what a repetition amounts to."""
        report = yield
        attempts = attempts_of(item)
        if attempts.again:
            self._end(attempts, report)
        elif report.failed and self._may_repeat(item, report, attempts):
            attempts.fail(report)
        elif attempts.in_body:
            attempts.failed_parts += report.failed
        elif attempts.failures:
            self._conclude(item, report, attempts)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, Any] | None:
        """Show both outcomes of ours under their own names."""
        if report.outcome == REPEATED:
            return "repeated", "R", ("REPEATED", {"yellow": True})
        if report.when == BETWEEN:
            return "", "", ""
        if is_flaky(report):
            return "flaky", "K", ("FLAKY", {"yellow": True})
        return None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell each flaky test with what its first attempt ended with."""
        flaky = terminalreporter.getreports("flaky")
        if flaky:
            terminalreporter.write_sep("=", "hil: FLAKY, passed only when repeated", yellow=True, bold=True)
        for report in flaky:
            terminalreporter.write_sep("_", report.nodeid, yellow=True)
            terminalreporter.write_line(report.longreprtext)
        for report in flaky:
            terminalreporter.write_line(f"FLAKY {report.nodeid} - {first_line(report)}", yellow=True)

    @staticmethod
    def _end(attempts: Attempts, report: pytest.TestReport) -> None:
        """Take a later phase of an attempt that has failed already."""
        if report.when == "teardown":
            report.when = BETWEEN  # type: ignore[assignment]  # pytest's type knows its own three only
        if report.failed:
            attempts.fail(report)
        elif report.when == "call" and not attempts.in_body:
            mark(report, REPEATED)

    @staticmethod
    def _conclude(item: pytest.Item, report: pytest.TestReport, attempts: Attempts) -> None:
        """Say what became of a repetition; hardware that was missing by then excuses no earlier failure."""
        if report.when != "teardown" and report.skipped and not hasattr(report, "wasxfail"):
            tell_skipped(report, attempts.failures[0])
            overrule_judgement(item, report)
        elif report.when == "call" and report.passed and attempts.failed_parts:
            tell_failed_parts(report, attempts.failed_parts)
        elif report.failed:
            overrule_judgement(item, report)
        elif report.when == "call":
            tell_flaky(report, attempts)
            item.user_properties.append(report.user_properties[-1])

    def _may_repeat(self, item: pytest.Item, report: pytest.TestReport, attempts: Attempts) -> bool:
        """Return True if a repetition may help: hardware is there, and no other plugin reruns the test."""
        return (
            attempts.number <= self._times
            and report.when != "teardown"
            and kind_of(item) is not Kind.NO_HARDWARE
            and not has_verdict(report)
            and not _is_rerun_by_others(item)
        )


class AttemptLabels:
    """The plugin, for repetitions of hil (`--hil-repeat`) and of pytest-rerunfailures."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the attempt's number into the titles, from the second attempt on."""
        report = yield
        number = max(attempts_of(item).number, getattr(item, "execution_count", 1))
        printed_by = item.stash.setdefault(_PRINTED_BY, [])
        captured = [index for index, (title, _) in enumerate(report.sections) if title.startswith(_CAPTURED)]
        printed_by.extend([number] * (len(captured) - len(printed_by)))
        if number > 1:
            for index, attempt in zip(captured, printed_by, strict=False):
                title, text = report.sections[index]
                report.sections[index] = f"{title}{LABEL}{attempt}", text
        return report


def _is_rerun_by_others(item: pytest.Item) -> bool:
    """Whether pytest-rerunfailures is there and was asked to rerun the test."""
    if not item.config.pluginmanager.hasplugin("rerunfailures"):
        return False
    asked = getattr(item.config.option, "reruns", None)
    return bool(asked) or item.get_closest_marker("flaky") is not None
