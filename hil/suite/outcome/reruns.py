"""`--hil-repeat`: a test that fails on a board runs again with a cold DUT, and both results are kept.

Before a repetition, all fixtures are torn down, the board is made safe, and the DUT stays without power
until it is cold. The first attempt is reported at once, with the outcome `repeated`. The outcome of the test
is that of its last attempt, except that a pass is *flaky*. pytest, JUnit and other readers of reports see a
flaky test as failed, so that no tool that does not know the word takes it for green.

Tests that pytest-rerunfailures reruns (`--reruns` or the marker `flaky`) are left to that plugin.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.attempts import (
    BETWEEN,
    LABEL,
    REPEATED,
    Attempts,
    attempt_of,
    attempts_of,
    fail_for_subtests,
    fail_skipped_rerun,
    first_line,
    is_flaky,
    mark,
    mark_flaky,
    skip_for_subtests,
)
from hil.suite.outcome.ledger import CRASHED
from hil.suite.outcome.user_properties import facts_of, has_verdict, overrule_judgement

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.suite.boards.lifecycle import BoardLifecycle

__all__ = ["FailedAttempts", "Repeats", "label_attempts"]

_CAPTURED = "Captured "
_PRINTED_BY = pytest.StashKey[list[int]]()
"""The attempt that printed each captured section of a test, in their order."""


class Repeats:
    """Repeats tests; registered in every process of a run.

    Args:
        times: How often a test is repeated at most.
        boards: This process's board.
    """

    def __init__(self, times: int, boards: BoardLifecycle) -> None:
        self._times = times
        self._boards = boards

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around the time limit, which starts again
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Run a test that has failed again, as pytest runs any test."""
        result = yield
        attempts = attempts_of(item)
        if not attempts.again:
            return result
        self._boards.release.power_down(item.nodeid)
        attempts.begin_next(item)
        return item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Tear down all fixtures before a repetition, also those that the next test could use."""
        if attempts_of(item).again:
            runner: Any = item.config.pluginmanager.get_plugin("runner")
            runner.pytest_runtest_teardown(item=item, nextitem=None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around xfail and the verdicts
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Decide whether a failure is repeated, and what the outcome of a repetition is."""
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
        """Name the outcomes `repeated` and `flaky`."""
        if report.outcome == REPEATED:
            return "repeated", "R", ("REPEATED", {"yellow": True})
        if report.when == BETWEEN:
            return "", "", ""
        if is_flaky(report):
            return "flaky", "K", ("FLAKY", {"yellow": True})
        return None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the flaky tests, with the failure of the first attempt."""
        flaky = terminalreporter.getreports("flaky")
        if flaky:
            terminalreporter.write_sep("=", "hil: FLAKY, passed only when repeated", yellow=True, bold=True)
        first = {report.nodeid: report for report in reversed(terminalreporter.getreports("repeated"))}
        for report in flaky:
            terminalreporter.write_sep("_", report.nodeid, yellow=True)
            terminalreporter.write_line(report.longreprtext)
            if report.nodeid in first:
                _write_sections(terminalreporter, first[report.nodeid])
        for report in flaky:
            terminalreporter.write_line(f"FLAKY {report.nodeid} - {first_line(report)}", yellow=True)

    @staticmethod
    def _end(attempts: Attempts, report: pytest.TestReport) -> None:
        """Add a later phase of an attempt that has failed."""
        if report.when == "teardown":
            report.when = BETWEEN  # type: ignore[assignment]  # pytest's type knows its own three only
        if report.failed:
            attempts.fail(report)
        elif report.when == "call" and not attempts.in_body:
            mark(report, REPEATED)

    @staticmethod
    def _conclude(item: pytest.Item, report: pytest.TestReport, attempts: Attempts) -> None:
        """Report the outcome of a repetition; missing hardware does not excuse the earlier failure."""
        if report.when == "call" and report.passed:
            if attempts.failed_parts:
                fail_for_subtests(report, attempts.failed_parts)
            elif has_verdict(report):  # a subtest has lost the board
                skip_for_subtests(report, facts_of(report)["hil_reason"])
        if report.when != "teardown" and report.skipped and not hasattr(report, "wasxfail"):
            fail_skipped_rerun(report, attempts.failures[0])
        if report.failed:
            overrule_judgement(item, report)
        elif report.when == "call":
            mark_flaky(report, attempts.failures[0])
            item.user_properties.append(report.user_properties[-1])

    def _may_repeat(self, item: pytest.Item, report: pytest.TestReport, attempts: Attempts) -> bool:
        """Return True if a test is to be repeated: hardware is there, and no other plugin reruns the test."""
        return (
            attempts.number <= self._times
            and report.when != "teardown"
            and kind_of(item) is not Kind.NO_HARDWARE
            and not has_verdict(report)
            and not _is_rerun_by_others(item)
        )


class FailedAttempts:
    """A plugin, in the controller, of runs that repeat or rerun tests: no attempt that failed is forgotten.

    The process that runs a test knows its earlier attempts. If it dies, or an attempt does not end, the
    controller alone knows them.
    """

    def __init__(self) -> None:
        self._failures: dict[str, pytest.TestReport] = {}
        self._open: set[str] = set()

    @pytest.hookimpl(tryfirst=True)  # before terminal, JUnit, ledger, history and report take it
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failed attempt; fail a report by which another process would excuse or forget it."""
        outcome: str = report.outcome
        if outcome in {REPEATED, "rerun"}:
            self._failures.setdefault(report.nodeid, report)
            self._open.add(report.nodeid)
        elif report.nodeid in self._failures and not _begins_or_ends_attempt(report):
            self._open.discard(report.nodeid)
            _keep_failed(report, self._failures[report.nodeid])

    @pytest.hookimpl(tryfirst=True)  # before JUnit's file is written
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Report each test as failed of which an attempt failed, and no later attempt has an outcome."""
        for nodeid in sorted(self._open):
            failure = self._failures[nodeid]
            last = copy.copy(failure)
            last.when, last.sections, last.user_properties = CRASHED, [], []  # type: ignore[assignment]
            mark(last, "failed")
            last.longrepr = f"{first_line(failure)} (its repetition has no outcome)"
            session.config.hook.pytest_runtest_logreport(report=last)


def _begins_or_ends_attempt(report: pytest.TestReport) -> bool:
    """Return True if a report tells neither an outcome of a test nor of its subtest."""
    return report.when == BETWEEN or (report.passed and report.when != "call")


def _keep_failed(report: pytest.TestReport, failure: pytest.TestReport) -> None:
    """Make a report a failure if its process excused or forgot the failure of an earlier attempt.

    A pass of a test that pytest-rerunfailures reran is a pass. A skip excuses nothing.
    """
    was_repeated: bool = (failure.outcome == REPEATED) and attempt_of(report) < 2  # noqa: PLR2004 - the first attempt
    if report.skipped and not hasattr(report, "wasxfail"):
        fail_skipped_rerun(report, failure)
    elif was_repeated and report.when == "call" and not report.failed:
        mark_flaky(report, failure)


def label_attempts(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put the number of the attempt into the titles of captured output, from the second attempt on.

    pytest shows what all attempts of `--hil-repeat` or pytest-rerunfailures printed under the same titles.
    """
    if not report.sections:
        return
    number = max(attempts_of(item).number, getattr(item, "execution_count", 1))
    printed_by = item.stash.setdefault(_PRINTED_BY, [])
    captured = [index for index, (title, _) in enumerate(report.sections) if title.startswith(_CAPTURED)]
    printed_by.extend([number] * (len(captured) - len(printed_by)))
    if number > 1:
        for index, attempt in zip(captured, printed_by, strict=False):
            title, text = report.sections[index]
            report.sections[index] = f"{title}{LABEL}{attempt}", text


def _write_sections(terminalreporter: pytest.TerminalReporter, report: pytest.TestReport) -> None:
    """Write the output of a failed attempt, as `--show-capture` asks."""
    asked = terminalreporter.config.option.showcapture
    for title, text in report.sections:
        if asked == "all" or asked in title:
            terminalreporter.write_sep("-", title)
            terminalreporter.write_line(text.rstrip("\n"))


def _is_rerun_by_others(item: pytest.Item) -> bool:
    """Return True if pytest-rerunfailures reruns the test."""
    if not item.config.pluginmanager.hasplugin("rerunfailures"):
        return False
    asked = getattr(item.config.option, "reruns", None)
    return bool(asked) or item.get_closest_marker("flaky") is not None
