"""One process's part of a test run, as a pytest plugin: it connects the other modules.

Under xdist the controller starts simulated boards and keeps the ledger, and each worker acquires a board.

Wrappers of plugins nest by `tryfirst` and `trylast`. Of equal ones, the plugin that is registered later has
the outer one. These depend on each other, the outermost first (`hil-` and `pytest_` are left out):

    runtest_protocol    test-recorder board-hooks lasting-time-limit repeats timeout console-evidence
    runtest_setup       returning-child request-counter capturemanager
    runtest_call        returning-child request-counter board-hooks timeout skipping console-evidence
    runtest_teardown    returning-child request-counter lasting-time-limit board-hooks console-evidence
    runtest_makereport  returning-child request-counter board-hooks repeats attempt-hooks skipping
    sessionfinish       console-evidence terminalreporter run-status
    unconfigure         run-status early-exit

Inside the wrappers of `pytest_runtest_setup` follow, one after the other: board-hooks, lasting-time-limit,
dependent-fixtures, attempt-hooks.
"""

from __future__ import annotations

import os
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.lab.guard.exit_with_parent import exit_with_parent
from hil.suite.attempt_hooks import AttemptHooks
from hil.suite.boards.dependent_fixtures import DependentFixtures
from hil.suite.boards.lifecycle import BoardLifecycle
from hil.suite.body_entry import BodyEntry, fail_unentered
from hil.suite.columns.column import column_of
from hil.suite.columns.plugin import ColumnPlugin
from hil.suite.dropped_tests import DroppedTests
from hil.suite.markers import MARKER_ERROR, Kind, MarkerErrors, kind_of
from hil.suite.options import is_no_run, read_options
from hil.suite.outcome.caught_errors import CaughtErrors
from hil.suite.outcome.early_exit import EarlyExit
from hil.suite.outcome.exit_status import RunStatus, missing_boards
from hil.suite.outcome.ledger import Ledger
from hil.suite.outcome.ledger_report import CrashedTests, JunitLedger, TeardownSkips, write_summary
from hil.suite.outcome.reruns import FailedAttempts, Repeats
from hil.suite.outcome.short_failures import ShortFailures
from hil.suite.outcome.time_limit import LastingTimeLimit, TimeLimit
from hil.suite.outcome.usb_block import UsbBlock
from hil.suite.recording.console_report import ConsoleReport
from hil.suite.recording.numbers import NumberRecorder
from hil.suite.recording.sanitize import PlainTerminal
from hil.suite.run_header import where_boards_are, why_in_doubt
from hil.suite.xdist.plugin import worker_channel
from hil.suite.xdist.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Generator

    from hil.dutlink.board import Board
    from hil.suite.outcome.judging import Judging

__all__ = ["END_WITH", "Run", "begin", "is_configured", "run_of"]

END_WITH = "HIL_END_WITH"
"""Environment variable: pid of a parent; when it ends, the run ends at once, and guards do the rest."""

_RUN = pytest.StashKey["Run"]()


def begin(config: pytest.Config) -> Run:
    """Read the options and register the plugins; once, however many copies of conftest.py there are.

    Raises:
        pytest.UsageError: An option cannot be understood.
    """
    if is_configured(config):
        return run_of(config)
    if os.getpid() == 1:
        from hil.lab.processes.reaper import fork_from_pid_1  # noqa: PLC0415 - for a container's first process

        fork_from_pid_1()
    run = config.stash[_RUN] = Run(config)
    register = config.pluginmanager.register
    register(run, "hil-run")
    register(run.processes, "hil-processes")
    if run.processes.is_worker:
        from hil.suite.xdist.plain_messages import PlainMessages  # noqa: PLC0415 - only with xdist

        register(PlainMessages(), "hil-plain-messages")
    register(run.columns, "hil-columns")
    register(run.dropped, "hil-dropped-tests")
    register(JunitLedger(config, run.ledger), "hil-junit")
    if getattr(config.option, "dist", "no") != "no":
        register(CrashedTests(config), "hil-crashed-tests")
    register(TeardownSkips(config), "hil-teardown-skips")
    register(PlainTerminal(), "hil-plain-terminal")
    register(run.time_limit, "hil-time-limit")
    register(AttemptHooks(run.short_failures, run.caught_errors, run.numbers), "hil-attempt-hooks")
    register(ConsoleReport(config), "hil-console-report")
    register(run.numbers, "hil-numbers")
    if run.options.repeats:
        register(Repeats(run.options.repeats, run.boards), "hil-repeats")
    if not run.processes.is_worker and (
        run.options.repeats or config.pluginmanager.hasplugin("rerunfailures")
    ):
        register(FailedAttempts(), "hil-failed-attempts")
    if not is_no_run(config):
        early_exit = EarlyExit(run.boards.show, is_worker=run.processes.is_worker)
        register(early_exit, "hil-early-exit")
        if not run.processes.is_worker:
            find_missing = partial(missing_boards, run.options, run.ledger, run.boards.of_run)
            run.status = RunStatus(run.ledger, find_missing, required=run.options.require)
            register(run.status, "hil-run-status")
    if run.options.report is not None and not is_no_run(config):
        from hil.evidence.run_folder import EvidenceFolder  # noqa: PLC0415 - only runs that keep evidence pay
        from hil.suite.recording.plugin import keep_evidence  # noqa: PLC0415 - only runs that keep evidence pay

        boards_from = run.options.boards.text or "this host's USB"
        keep_evidence(config, EvidenceFolder(run.options.report), run.boards, run.ledger, boards_from)
    return run


def run_of(config: pytest.Config) -> Run:
    """Return the run that `begin` made."""
    return config.stash[_RUN]


def is_configured(config: pytest.Config) -> bool:
    """Return True if `begin` was called."""
    return _RUN in config.stash


class Run:
    """The suite in one process of a run: its options, its board, its ledger.

    Attributes:
        options: The options of the run.
        ledger: This process's ledger.
        dropped: Tests that were deselected, or that a conftest or a plugin dropped.
        processes: The controller and its workers.
        boards: This process's board.
        time_limit: The timer of the present test.
        short_failures: Shortens the tracebacks of errors of hil.
        caught_errors: Errors of hil that the present test may have caught.
        numbers: The numbers that the present test measures.
        columns: Runs tests on each board, and with each image.
        status: Decides the exit status, in the controller.
    """

    status: RunStatus | None = None

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.options = read_options(config)
        self.ledger = Ledger()
        self.dropped = DroppedTests()
        self.processes = Processes(config, self.options.boards, self.ledger)
        self._block = UsbBlock.install()
        self._noted_outside = self._block.note  # by a run that has this run inside one of its tests
        self._block.note = self._note_raw_error
        self.time_limit = TimeLimit()
        self.short_failures = ShortFailures(config, lambda: self.boards.usable_board())  # noqa: PLW0108 - it is made below
        self.caught_errors = CaughtErrors(self._judge_caught)
        self.numbers = NumberRecorder(config.pluginmanager)
        self._fixtures = DependentFixtures(self._block, self.time_limit)
        self.boards = BoardLifecycle(config, self.options, self.ledger, self.processes, self._fixtures)
        self.columns = ColumnPlugin(self.options.each, self.options.images, self.boards.of_run.listed_for_all)
        self._blocked_outside = self._block.active  # by a run that has this run inside one of its tests
        parent = os.environ.pop(END_WITH, "")  # not for the runs that this one starts
        if self.processes.is_worker:
            exit_with_parent(self.processes.controller)
        elif parent.isdigit():
            exit_with_parent(int(parent))

    def board(self) -> Board:
        """Return the board of the present test, or raise why it has none."""
        try:
            self._block.check("the fixture dutlink")
            self._fixtures.track_board_request()
            return self.boards.session.board()
        except Exception as error:
            self.caught_errors.noted.append(error)
            raise

    def _note_raw_error(self, error: Exception) -> None:
        """Note an error of pyusb that a test met without hil, as hil's own driver notes its errors."""
        from hil.dutlink.usb.error_mapping import ErrorSource, classify, translate  # noqa: PLC0415 - the driver is for runs with boards
        from hil.dutlink.usb.request_log import record_error  # noqa: PLC0415 - the driver is for runs with boards

        board = self.boards.usable_board()
        if board is not None and classify(error, ErrorSource.USB) is not None:
            what = f"a transfer failed that the test made itself, beside board {board.serial}"
            record_error(board.serial, translate(error, ErrorSource.USB, what, serial=board.serial))

    def boards_by_role(self) -> dict[str | int, Board]:
        """Return the boards of the present test by role, or raise why it has none."""
        self.board()
        return self.boards.session.boards()

    def judge(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Replace an error that was proven to come from missing hardware by the outcome that says so.

        A test whose body never ran has failed.
        """
        if call.excinfo is None:
            fail_unentered(item, call)
        else:
            self.short_failures.hide_frames(call)
            if kind_of(item) is not Kind.NO_HARDWARE:
                self._judging.judge_raised(item, call, call.excinfo.value)

    def _judge_caught(
        self, item: pytest.Item, call: pytest.CallInfo[Any], chain: list[BaseException]
    ) -> None:
        if call.excinfo is not None and kind_of(item) is not Kind.NO_HARDWARE:
            self._judging.judge_caught(item, call, call.excinfo.value, chain)

    @cached_property
    def _judging(self) -> Judging:
        from hil.suite.outcome.judging import Judging  # noqa: PLC0415 - the driver is for runs with boards

        required = self.options.require
        return Judging(self.boards, self._fixtures, self.time_limit, self.caught_errors, required=required)

    def pytest_report_header(self) -> list[str]:
        """Tell where boards are, which other users decide that, and what would end guards with the run."""
        return [where_boards_are(self.options.boards), *why_in_doubt(self.options.lab)]

    def pytest_sessionstart(self) -> None:
        """Tell who else decides where boards are, and what would end guards, also with -q, without a header.

        Note the threads of plugins.
        """
        self.boards.begin()
        if self._config.get_verbosity() < 0 and not self.processes.is_worker and not is_no_run(self._config):
            for line in why_in_doubt(self.options.lab):
                self.boards.show(line)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        """Decide the kind of tests that plugins added; register what fails tests with errors in markers.

        Of the tests that use boards, those with the same board and image are then put together.
        """
        result = yield
        may_use_boards = [one for one in items if kind_of(one) is not Kind.NO_HARDWARE or column_of(one)]
        if may_use_boards:
            from hil.suite.images.order_of_tests import put_in_order  # noqa: PLC0415 - only for runs with boards

            self.columns.refuse_other_columns(may_use_boards)
            put_in_order(items, self.boards.images.keys_of)
        if any(MARKER_ERROR in item.stash for item in items):
            self._config.pluginmanager.register(MarkerErrors(), "hil-marker-errors")
        return result

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the planned tests, after deselection; register the plugins of boards if a test uses one."""
        self.ledger.plan(session.items)
        self.ledger.dropped = self.dropped.take(session.items)
        self.ledger.deselected = self.dropped.deselected
        channel = worker_channel(session.config)
        if channel is not None:
            channel.send_collected(self.ledger.collected())
        if is_no_run(session.config):
            return
        self.numbers.plan(session.items)
        if self.ledger.planned.keys() == {Kind.NO_HARDWARE}:
            self._block.active = True
            for name in ("hil-console-report", "hil-teardown-skips"):  # they wait for reports of boards
                self._config.pluginmanager.unregister(name=name)
            return
        self.boards.plan(session.items)
        if self.options.board and not self.processes.is_worker:
            self.boards.of_run.check_board(self.boards.of_run.infos())
        from hil.suite.boards.hooks import (  # noqa: PLC0415 - only for runs with boards
            BoardHooks,
            MissingBoards,
            ReturnedTests,
        )
        from hil.suite.outcome.request_counter import RequestCounter  # noqa: PLC0415 - the driver is for runs with boards
        from hil.suite.outcome.returning_child import ReturningChild  # noqa: PLC0415 - only for runs with boards
        from hil.suite.recording.console import keep_consoles  # noqa: PLC0415 - the driver is for runs with boards

        register = session.config.pluginmanager.register
        register(self._fixtures, "hil-dependent-fixtures")
        register(LastingTimeLimit(self.time_limit), "hil-lasting-time-limit")
        register(BoardHooks(self.boards, self._block), "hil-board-hooks")
        register(MissingBoards(self.boards), "hil-missing-boards")
        register(BodyEntry(), "hil-body-entry")
        register(ReturnedTests(), "hil-returned-tests")
        counter = RequestCounter(self.boards, self._fixtures, required=self.options.require)
        register(counter, "hil-request-counter")
        keep_consoles(session.config, self.boards, self.options, self.ledger)
        register(ReturningChild(self.boards.show), "hil-returning-child")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count files that skip themselves at collection, or cannot be collected."""
        self.ledger.add_collected(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase of a test to the ledger and to the counts, and its numbers to the summary."""
        if self.status is not None:
            self.status.add(report)
        self.ledger.add(report)
        self.numbers.add(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Release the board, after all fixtures are torn down, and send the ledger of a worker."""
        self._block.active = self._blocked_outside
        self._block.note = self._noted_outside
        self.boards.release.at_end(awaits_guards=not self.processes.is_worker)
        if self.ledger.unsafe:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        self.processes.tell()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the ledger into the summary."""
        if is_no_run(self._config):
            return
        write_summary(self.ledger, terminalreporter)

    def pytest_unconfigure(self) -> None:
        """End the simulated boards that this process started."""
        self.boards.close()
        self.processes.close()
