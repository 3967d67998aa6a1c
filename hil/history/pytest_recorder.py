"""pytest hooks that record a run in the history, each attempt as soon as it is known.

Only the controller records; xdist sends it every report. A history that cannot be written never fails a test:
the error is shown at the end of the run.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.boards.address import Where
from hil.errors import HistoryError, UsageError
from hil.regular_file import check_regular
from hil.suite.options import is_declared, is_no_run
from hil.suite.outcome.attempts import BETWEEN
from hil.suite.outcome.user_properties import boards_of
from hil.suite.plugin import is_configured, run_of
from hil.suite.recording.identity import run_record_of
from hil.suite.recording.phases import attempt_of, attempt_to_collect
from hil.suite.xdist.costs import without_group

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.evidence.records import RecordedTest
    from hil.history.store import History

__all__ = ["add_options", "begin", "measured_durations_s"]

_TIMED_RUNS = 10
"""The number of newest runs that tell how long a test takes."""


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, once: a run may have several copies of conftest.py."""
    if is_declared(parser, "--hil-history"):
        return
    group = parser.getgroup("hil")
    group.addoption(
        "--hil-history",
        metavar="FILE",
        default=os.environ.get("HIL_HISTORY", ""),
        help="record this run in a history, for `hil history`; or the environment variable HIL_HISTORY",
    )
    group.addoption("--hil-history-kind", metavar="KIND", default="", help="kind of the run, such as nightly")
    group.addoption(
        "--hil-history-key",
        metavar="KEY",
        default="",
        help="continue the run that was recorded under this key",
    )


def measured_durations_s(config: pytest.Config) -> dict[str, float]:
    """Return the mean durations of tests in the newest runs, in seconds; skips do not count."""
    path = Path(config.getoption("hil_history") or "")
    if not path.is_file():
        return {}
    from hil.history.newest_runs import AHEAD_S  # noqa: PLC0415 - only runs that keep a history pay
    from hil.history.schema import AttemptOutcome  # noqa: PLC0415 - only runs that keep a history pay
    from hil.history.store import History  # noqa: PLC0415 - only runs that keep a history pay

    try:
        with History(path) as history:
            rows = history.read(
                "SELECT nodeid, avg(setup_s + call_s + teardown_s) FROM attempt JOIN test ON test.id=test_id "
                "WHERE run_id IN (SELECT id FROM run WHERE began_s <= ? ORDER BY began_s DESC LIMIT ?) "
                f"AND outcome != {AttemptOutcome.SKIPPED:d} GROUP BY test_id",
                (time.time() + AHEAD_S, _TIMED_RUNS),
            )
            return dict(rows)
    except HistoryError:  # the recorder shows it at the end of the run
        return {}


def begin(config: pytest.Config) -> None:
    """Register the recorder in the controller, if `--hil-history` is given."""
    path = config.getoption("hil_history")
    again = config.pluginmanager.has_plugin("hil-history")
    if path and not again and not hasattr(config, "workerinput") and not is_no_run(config):
        from hil.lab.files.trusted_path import refuse_foreign_folder  # noqa: PLC0415 - only runs that keep a history pay

        try:
            refuse_foreign_folder(Path(path), config.rootpath, "--hil-history")
            _check(path)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error
        config.pluginmanager.register(HistoryPlugin(config, Path(path)), "hil-history")


def _check(path: str) -> None:
    try:
        check_regular(Path(path))
    except OSError as error:
        remedy = "name a history, or a path where there is nothing yet"
        why = str(error.strerror)
        raise UsageError(f"--hil-history {path} cannot be a history", why=why, remedy=remedy) from error


class HistoryPlugin:
    """Collects reports and records the attempts that they make up.

    Args:
        config: The run's pytest configuration.
        path: Path of the history.
    """

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._path = path
        self._grouped = getattr(config.option, "dist", "no") == "loadgroup"
        self._run = run_record_of(config)
        self._phases: dict[str, list[pytest.TestReport]] = {}
        self._attempts: dict[str, int] = {}
        self._unwritten: list[RecordedTest] = []
        self._simulated = False
        self._history: History | None = None
        self._trouble: HistoryError | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Record the run's start."""
        from hil.history.store import History  # noqa: PLC0415 - only runs that keep a history pay

        if is_configured(session.config):
            asked = run_of(session.config).options
            self._run = replace(self._run, expected_boards=len(asked.lab.places))
            self._simulated = asked.boards.where in {Where.STARTED, Where.RUNNING}
        try:
            self._history = History(self._path)
            self._history.begin_run(self._run)
        except HistoryError as error:
            self._trouble = error

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that could not be collected as a failed test with the file's name."""
        if not report.failed:
            return
        from hil.evidence.records import RecordedTest  # noqa: PLC0415 - only runs that keep a history pay
        from hil.evidence.used_board import UsedBoard  # noqa: PLC0415 - only runs that keep a history pay

        board, attempt = UsedBoard(simulated=self._simulated), attempt_to_collect(report)
        self._unwritten.append(RecordedTest(report.nodeid, board=board, attempts=[attempt]))
        self._write()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect one phase, and record the attempt with its last phase.

        An attempt that is rerun may have no tear-down; the set-up of the next attempt ends it.
        """
        if report.when == "setup" and report.nodeid in self._phases:
            self._end_attempt(report.nodeid)
        self._phases.setdefault(report.nodeid, []).append(report)
        if report.when in {"teardown", BETWEEN}:
            self._end_attempt(report.nodeid)
            self._write()

    @pytest.hookimpl(wrapper=True, trylast=True)  # after the run's status is known, before the summary
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Record the remaining attempts and the run's end."""
        result = yield
        status = session.config.pluginmanager.get_plugin("hil-run-status")
        listed = self._run.expected_boards
        self._finish(int(session.exitstatus), status.count_boards(listed) if status is not None else listed)
        return result

    def _finish(self, exitstatus: int, boards: int) -> None:
        for nodeid in tuple(self._phases):
            self._end_attempt(nodeid)
        self._trouble = None if self._history else self._trouble
        self._write()
        if self._history is not None and self._trouble is None:
            ended = replace(self._run, ended_s=time.time(), exit_status=exitstatus, expected_boards=boards)
            try:
                self._history.end_run(ended)
            except HistoryError as error:
                self._trouble = error

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the error if the history could not be written."""
        if self._trouble is not None:
            terminalreporter.section("hil: history", red=True, bold=True)
            terminalreporter.write_line(f"NOT KEPT: {len(self._unwritten)} attempts of this run")
            terminalreporter.write_line(str(self._trouble))

    def pytest_unconfigure(self) -> None:
        """Close the file."""
        if self._history is not None:
            self._history.close()

    def _end_attempt(self, nodeid: str) -> None:
        phases = self._phases.pop(nodeid)
        if all(phase.when == "setup" and phase.passed for phase in phases):
            return  # the run was interrupted before the test's body
        self._unwritten.append(self._attempt(phases))

    def _write(self) -> None:
        """Write the waiting attempts; after an error, only the end of the run tries again."""
        if self._history is None or self._trouble is not None:
            return
        try:
            self._history.add(self._run.key, self._unwritten)
            self._unwritten.clear()
        except HistoryError as error:
            self._trouble = error

    def _attempt(self, phases: list[pytest.TestReport]) -> RecordedTest:
        """Return the attempt that consists of these phases, as the evidence records it too."""
        from hil.evidence.records import RecordedTest  # noqa: PLC0415 - only runs that keep a history pay

        nodeid = phases[0].nodeid
        plain = without_group(nodeid) if self._grouped else nodeid
        self._attempts[plain] = self._attempts.get(plain, 0) + 1
        facts = {name: str(value) for report in phases for name, value in report.user_properties}
        boards = boards_of(facts)
        return RecordedTest(
            plain,
            board=boards[0] if boards else None,
            partners=boards[1:],
            attempts=[attempt_of(phases, self._attempts[plain])],
            column=facts.get("hil_column", ""),
            image=facts.get("hil_image", ""),
        )
