"""The exit status of a run: the cause of a run that is not green, as a number.

pytest's own are 0 to 6, and the next ones may be, too. Of several causes the worst counts: tests failed (1),
the bench was not ready (16), tests never began or a worker ended early (2), nothing ran (5), tests were
flaky (17).
"""

from __future__ import annotations

import enum
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import BoardBusyError, UnavailableError, Verdict
from hil.suite.hook_errors import contained, told
from hil.suite.outcome.attempts import ATTEMPT, is_flaky
from hil.suite.outcome.ledger_report import write_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    from hil.dutlink.discovery import ProbeResult
    from hil.dutlink.host import Host
    from hil.lab.config.lab import Lab
    from hil.suite.boards.run_boards import RunBoards
    from hil.suite.options import RunOptions
    from hil.suite.outcome.ledger import Ledger

__all__ = ["RunStatus", "Status", "boards_without_part", "missing_boards", "refuse_green_start"]

_NO_TEST_BEGAN = "NO TEST BEGAN: pytest.exit with status 0 ended this run; exit status 2"


class Status(enum.IntEnum):
    """Exit statuses of a run; 2 to 6 are pytest's, and 2 is also a run in which tests never began."""

    GREEN = 0
    TESTS_FAILED = 1
    INTERRUPTED = 2
    NOTHING_RAN = 5
    BENCH_NOT_READY = 16
    FLAKY = 17


class RunStatus:
    """Decides the run's exit status, in the controller.

    Args:
        ledger: The tally of the run.
        missing: Returns what `missing_boards` returns.
        required: Hardware that cannot be used is a failure, and so is a run in which nothing ran.
    """

    def __init__(
        self, ledger: Ledger, missing: Callable[[], Mapping[str, str] | None], *, required: bool
    ) -> None:
        self._ledger = ledger
        self._find_missing = missing
        self._required = required
        self._failed = self._unusable = self._flaky = 0
        self._missing: Mapping[str, str] | None = None
        self._begun: set[str] = set()
        self._never_began = self._interrupted = 0
        self._was_ended = self._ended_unbegun = False  # by pytest.exit or Ctrl-C; before any test
        self._untold: list[str] = []
        self._session: pytest.Session | None = None
        self._has_summary = False
        self._chosen = 0
        self._exit: SystemExit | None = None  # raised by a hook

    def add(self, report: pytest.TestReport) -> None:
        """Count tests that began, and failures by their cause."""
        if report.passed and report.when != "setup":
            return
        self._begun.add(report.nodeid)
        if not report.failed:
            return
        names = {name for name, _ in report.user_properties}
        if is_flaky(report):
            self._flaky += 1
        elif "hil_verdict" in names and ATTEMPT not in names:
            self._unusable += 1
        else:
            self._failed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count collection errors; the other tests may run nevertheless."""
        self._failed += report.failed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's worker controller
        """Remember a worker that died: it did not send its ledger."""
        if not getattr(node, "workeroutput", None):
            self._untold.append(node.gateway.id)

    def pytest_keyboard_interrupt(self) -> None:
        """Remember that the run was ended."""
        self._was_ended = True

    # trylast: inside the terminal's hook, around all that make boards safe
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Choose the status, also if the hook of a conftest ends the session or the process here."""
        self._session = session
        try:
            with self._noting_exit():
                return (yield)
        finally:
            self._choose(session)
            self._chosen = int(session.exitstatus)
            self._keep_red(session)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> Generator[None, object, object]:
        """Print a line if a conftest or a plugin changed a failed status to 0; that is allowed."""
        if self._session is None:
            refuse_green_start(config)
        else:
            self._keep_red(self._session)
            self._tell_untold(config)
        try:
            with self._noting_exit():
                return (yield)
        finally:
            if self._session is not None:
                self._keep_red(self._session)
                self._tell_change(self._session)

    @contextmanager
    def _noting_exit(self) -> Iterator[None]:
        try:
            yield
        except SystemExit as ended:
            self._exit = ended
            raise

    def _keep_red(self, session: pytest.Session) -> None:
        """Put the chosen status in place of one such as 256, which ends the process with 0."""
        if session.exitstatus and _is_green(session.exitstatus):
            session.exitstatus = self._chosen
        if self._exit is not None and self._exit.code and _is_green(self._exit.code):
            self._exit.code = self._chosen

    def _tell_change(self, session: pytest.Session) -> None:
        status = int(session.exitstatus) if self._exit is None else _status_of(self._exit)
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if self._chosen and not status and terminal is not None:
            line = f"EXIT STATUS CHANGED: from {self._chosen} to 0, by a conftest.py or a plugin"
            terminal.ensure_newline()
            terminal.write_line(line, red=True, bold=True)

    def _tell_untold(self, config: pytest.Config) -> None:
        """Write the summary that pytest leaves out after its own errors, and for a status of others."""
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if not self._has_summary and terminal is not None:
            self.pytest_terminal_summary(terminal)
            write_summary(self._ledger, terminal)

    def _choose(self, session: pytest.Session) -> None:
        self._missing = self._find_missing()
        self._never_began = max(0, self._ledger.planned.total() - len(self._begun))
        if _is_green(session.exitstatus):
            session.exitstatus = pytest.ExitCode.OK
            self._ended_unbegun = self._was_ended and not self._begun
            self._interrupted = self._ledger.interrupted()
        if session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            session.exitstatus = self._status_after(int(session.exitstatus))
        elif session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._missing:
            session.exitstatus = Status.BENCH_NOT_READY

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the boards that took no part, tests that never began, and workers that died."""
        self._has_summary = True
        for line in (self._missing or {}).values():
            terminalreporter.write_line(f"NOT THE WHOLE LAB: {line}", red=True, bold=True)
        if self._never_began:
            planned = self._ledger.planned.total()
            line = f"NOT ALL TESTS BEGAN: {self._never_began} of {planned} never began"
            terminalreporter.write_line(line, red=True, bold=True)
        elif self._interrupted:
            line = f"NOT ALL TESTS ENDED: {self._interrupted} with a board began and has no outcome"
            terminalreporter.write_line(line, red=True, bold=True)
        elif self._ended_unbegun:
            terminalreporter.write_line(_NO_TEST_BEGAN, red=True, bold=True)
        for worker in self._untold:
            line = f"WORKER {worker} DIED: the state of its board is unknown"
            terminalreporter.write_line(line, red=True, bold=True)

    def count_boards(self, listed: int) -> int:
        """Return how many boards should have run tests: those of the lab file that had tests to run.

        Args:
            listed: How many the lab file lists.
        """
        if self._missing is None or "" in self._missing or not listed:
            return listed
        return len(self._ledger.serials().union(self._missing))

    def _status_after(self, pytest_status: int) -> int:
        excused = bool(self._flaky or self._unusable)
        fails = self._failed or self._ledger.unsafe or self._ledger.late_errors
        if fails or (pytest_status == Status.TESTS_FAILED and not excused):
            return Status.TESTS_FAILED
        if self._unusable or self._missing or self._ledger.faults or self._misses_lost_boards():
            return Status.BENCH_NOT_READY
        if self._never_began or self._interrupted or self._untold or self._ended_unbegun:
            return Status.INTERRUPTED
        if self._required and not self._ledger.serials():
            return Status.NOTHING_RAN
        return Status.FLAKY if self._flaky else Status.GREEN

    def _misses_lost_boards(self) -> bool:
        """Return True if lost boards were not made safe until the end of a run that requires hardware."""
        asks_for_boards = self._required or self._missing is not None
        return asks_for_boards and bool(self._ledger.trouble)


def refuse_green_start(config: pytest.Config) -> None:
    """Make a run red that ended with 0 before its session began: pytest calls no session-finish hook then."""
    session = config.pluginmanager.get_plugin("session")
    if isinstance(session, pytest.Session) and _is_green(session.exitstatus):
        session.exitstatus = Status.INTERRUPTED
        sys.stderr.write(f"{_NO_TEST_BEGAN}\n")


def _is_green(status: object) -> bool:
    """Return True if a process that ends with a status ends with 0: its parent sees the lowest 8 bits."""
    return isinstance(status, int) and not status & 0xFF


def _status_of(ended: SystemExit) -> int:
    """Return the exit status of a process that ends by this error."""
    if ended.code is None or _is_green(ended.code):
        return 0
    return ended.code if isinstance(ended.code, int) else 1


def missing_boards(options: RunOptions, ledger: Ledger, of_run: RunBoards) -> dict[str, str] | None:
    """Return a line by the serial number of each board that took no part; None without `--hil-whole-lab`.

    A line about all boards has an empty serial number. With `--hil-real`, such a line says that no argument
    of pytest asks for simulated boards.
    """
    if unasked := options.unasked:
        asked = f"nothing but {unasked} asks for them"
        return {
            "": f"its boards are SIMULATED, and {asked}; unset it, or say --hil-boards {options.boards.text}"
        }
    if not options.whole_lab or not options.lab.places:
        return None
    lines, problems = dict[str, str](), list[BaseException]()
    with contained(problems.append):
        lines = boards_without_part(options.lab, ledger.serials(), of_run.probe, of_run.host())
    if problems:
        lines[""] = f"its boards cannot be looked at: {told(problems[0])}"
    return lines


def boards_without_part(
    lab: Lab, used: Collection[str], probe_board: Callable[[str], ProbeResult], host: Host | None = None
) -> dict[str, str]:
    """Return a line by serial number for each place whose board ran no test and could not have run one.

    A board that is free and answers now had no test left to run; that is no fault.

    Args:
        lab: The lab file.
        used: Serial numbers of the boards that ran tests.
        probe_board: Probes one board.
        host: The host of the boards; None: they are plugged into other machines.
    """
    found = {}
    for name, place in lab.places.items():
        why = "" if place.serial in used else _trouble(place.serial, probe_board, host)
        if why:
            found[place.serial] = f"place {name}, board {place.serial}: {why}"
    return found


def _trouble(serial: str, probe_board: Callable[[str], ProbeResult], host: Host | None) -> str:
    """Return why a board cannot be used; empty if it can."""
    from hil.lab.locks.acquire import acquire  # noqa: PLC0415 - few runs ask

    try:
        with acquire(serial, wait_s=0.0, test="is it there?", host=host) as lease:
            lease.leave_untouched()
            result = probe_board(serial)
    except BoardBusyError as error:
        return f"{error.what}: {error.why}"
    except UnavailableError as error:
        return error.what
    if result.verdict is Verdict.PRESENT:
        return ""
    return result.error.what if result.error else str(result.verdict)
