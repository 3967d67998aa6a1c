"""One process's part of a test run, as a pytest plugin: it joins the other modules and decides nothing.

Under xdist the first process starts simulated boards and keeps the ledger, and each worker holds a board.
Everything that needs the driver is imported when the first test that uses a board comes along.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import BoardLostError, HilError, UnavailableError, Verdict
from hil.lab.controller_watch import stop_with
from hil.suite.board_tests import BoardTests
from hil.suite.console_report import ConsoleReport
from hil.suite.ledger import (
    Ledger,
    describe_board,
    describe_image,
    describe_judgement,
    describe_test,
    planned,
)
from hil.suite.ledger_report import JunitLedger, write_summary
from hil.suite.options import Where, read_options
from hil.suite.repeating import Repeats
from hil.suite.run_status import RunStatus
from hil.suite.scheduling import worker_channel
from hil.suite.selection import KIND, Kind, uses_board
from hil.suite.time_limit import TimeLimitPause
from hil.suite.usb_block import UsbBlock
from hil.suite.wishes import Wish, wish_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.board import Board
    from hil.sim.process import SimulatorProcess
    from hil.suite.boards import BoardKeeper
    from hil.suite.hosts import Hosts
    from hil.suite.run_channel import WorkerChannel
    from hil.suite.wishes import BoardCard

__all__ = ["END_WITH", "Run", "begin", "is_configured", "run_of"]

END_WITH = "HIL_END_WITH"
"""Environment variable: the pid of a parent process with which a run ends at once; guards do the rest."""

_RUN = pytest.StashKey["Run"]()
_FROM_FIRST = "hil_simulated_boards"
_FROM_WORKER = "hil_ledger"


def begin(config: pytest.Config) -> Run:
    """Read the options and take part in the run.

    Raises:
        pytest.UsageError: An option cannot be understood.
    """
    run = config.stash[_RUN] = Run(config)
    config.pluginmanager.register(run, "hil-run")
    config.pluginmanager.register(JunitLedger(run.ledger), "hil-junit")
    config.pluginmanager.register(TimeLimitPause(), "hil-time-limit")
    config.pluginmanager.register(ConsoleReport(config.pluginmanager), "hil-console-report")
    if run.options.repeats:
        config.pluginmanager.register(Repeats(run.options.repeats, run), "hil-repeats")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RunStatus(run, required=run.options.require), "hil-run-status")
    if run.options.report is not None:
        from hil.suite.evidence import keep_evidence  # noqa: PLC0415 - only runs that keep evidence pay

        keep_evidence(config, run, run.options.report)
    return run


def run_of(config: pytest.Config) -> Run:
    """Return what `begin` made."""
    return config.stash[_RUN]


def is_configured(config: pytest.Config) -> bool:
    """Whether `begin` was called."""
    return _RUN in config.stash


class Run:
    """The plugin. `keeper` is the worker's board; everything else is called by pytest."""

    def __init__(self, config: pytest.Config) -> None:
        self.options = read_options(config)
        self.ledger = Ledger()
        self._config = config
        self._worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
        self._block = UsbBlock.install()
        self._blocked_outside = self._block.active  # by a run that has this one in a test of its own
        parent = os.environ.pop(END_WITH, "")  # not for the runs that this one starts
        if self._worker_input is not None:
            stop_with(os.getppid())
        elif parent.isdigit():
            stop_with(int(parent))
        self._keeper: BoardKeeper | None = None
        self._hosts: Hosts | None = None
        self._started: SimulatorProcess | None = None
        self._fixture: Callable[[], None] | None = None
        self._last_test = ""
        self._unsafe = False

    @property
    def keeper(self) -> BoardKeeper:
        """This worker's board, and the driver with it."""
        if self._keeper is None:
            from hil.suite.boards import BoardKeeper  # noqa: PLC0415 - the driver is for runs that use boards
            from hil.suite.hosts import Hosts  # noqa: PLC0415 - so is the simulator

            ready = self._started.ready if self._started else (self._worker_input or {}).get(_FROM_FIRST)
            self._hosts = Hosts(self.options.boards, ready, wait_s=self.options.wait_s, tell=self._tell)
            controller = 0 if self._worker_input is None else os.getppid()
            self._keeper = BoardKeeper(self._hosts, self.options, controller, self._tell)
        return self._keeper

    def board(self) -> Board:
        """Return the board of the present test, or raise why it has none."""
        self._block.check("the fixture dutlink")
        return self.keeper.board()

    def held_board(self) -> Board | None:
        """Return the board that is held and was not lost, if there is one."""
        held = self._keeper.held if self._keeper is not None else None
        return held.board if held is not None and self.keeper.error is None else None

    def name_of_board(self) -> str:
        """Return the name of the board that is held; empty if it has none, or does not say."""
        return self.keeper.name_of_board()

    def cards(self) -> list[BoardCard]:
        """Return the boards that can be used; none where none can be looked for: the tests will say why."""
        with suppress(UnavailableError):
            return self.keeper.cards(with_words=True)
        return []

    @property
    def nothing_ran(self) -> bool:
        """Whether no test of this run ran on a board."""
        return not self.ledger.boards()

    @property
    def unsafe(self) -> bool:
        """Whether a board could not be made safe, here or by a worker."""
        return self._unsafe

    def boards_used(self) -> int:
        """Return how many boards of this run ran tests."""
        return len({board.serial for board in self.ledger.boards()})

    def missing(self) -> list[str] | None:
        """Return a line for each board of the lab file that took no part, if that was asked for."""
        if not self.options.whole_lab or not self.options.lab.places:
            return None
        from hil.suite.whole_lab import boards_without_part  # noqa: PLC0415 - the driver, for few runs

        used = {board.serial for board in self.ledger.boards()}
        return boards_without_part(self.options.lab, used, self.keeper.look_for)

    def cool(self, item: pytest.Item) -> None:
        """End what rests on the board, and leave its DUT without power until it is cold."""
        try:
            self._end_fixtures()
            if self._keeper is not None:
                self._keeper.cool()
        except HilError as error:
            self.ledger.trouble.append(f"before {item.nodeid} was repeated: {error}")

    def _tell(self, line: str) -> None:
        """Show the user a line although a test's output is being captured."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stderr.write(f"\n{line}\n")
            sys.stderr.flush()

    def pytest_report_header(self) -> str:
        """Say in plain sight where the boards are."""
        boards = self.options.boards
        if not boards.simulated:
            asked = f" ({boards.text})" if boards.where is Where.JUMPSTARTER else ""
            return f"hil: boards from {boards.where.value}{asked}"
        number = f"{boards.number} " if boards.where is Where.STARTED else ""
        return f"hil: {number}SIMULATED boards (asked for by --hil-boards {boards.text} or HIL_BOARDS)"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what is planned, after all deselection; look at each test only if some use a board."""
        self.ledger.planned = planned(session.items)
        if self.ledger.planned.keys() == {Kind.NO_HARDWARE}:
            self._block.active = True
        else:
            session.config.pluginmanager.register(BoardTests(self, self._block), "hil-board-tests")
            from hil.suite.console_evidence import keep_consoles  # noqa: PLC0415 - the driver is for runs with boards

            keep_consoles(session.config, self, self.options, self.ledger)
        if self._worker_input is None:
            from_the_end = reversed(session.items)
            last = next((item for item in from_the_end if item.stash[KIND] is not Kind.NO_HARDWARE), None)
            self._last_test = last.nodeid if last is not None else ""

    def before(self, item: pytest.Item) -> None:
        """Get a board for a test, before its time limit begins to run."""
        kind = item.stash[KIND]
        describe_test(item, kind)
        if item.get_closest_marker("skip") is None:
            self._prepare(item, kind)

    def check(self, item: pytest.Item) -> None:
        """Raise why a test has no board; one that uses none of the fixtures may find out by itself."""
        if self.keeper.error is not None and (uses_board(item) or not self.keeper.may_run_without):
            raise self.keeper.error

    def over(self, item: pytest.Item) -> None:
        """Note what is known when a test is over, before it is told."""
        if self._keeper is not None and self._keeper.held is not None:
            describe_image(item, self._keeper.held)

    def after(self, item: pytest.Item) -> None:
        """Give the board back behind the last test that needs it."""
        if self._is_last(item.nodeid):
            self._give_back()

    def made(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> None:  # noqa: ANN401 - pytest's own
        """Remember how to end the board's fixture, and with it all that rest on it."""
        self._fixture = partial(fixturedef.finish, request)

    def _prepare(self, item: pytest.Item, kind: Kind) -> None:
        """Hold the board that a test wants; another one that was held is given back first."""
        wish = wish_of(item, self.options.board) or Wish()
        if not self.keeper.suits(wish):
            self._give_back()
        channel = self._channel
        serial = channel.board(item.nodeid) if channel else None
        self.keeper.prepare(kind, item.nodeid, wish, serial)
        if self.keeper.held is not None and self.keeper.error is None:
            held = self.keeper.held
            in_history = self._config.getoption("hil_history", "")  # asks the board, once, for its name
            name = self.name_of_board() if in_history else self.options.lab.name_of(held.board.serial)
            describe_board(item, held, name)

    @property
    def _channel(self) -> WorkerChannel | None:
        """The line to a controller that gives out boards, in its workers."""
        channel = worker_channel(self._config)
        return channel if channel is not None and channel.schedules else None

    def _is_last(self, nodeid: str) -> bool:
        """Whether no test of this process needs the board any more."""
        channel = self._channel
        return nodeid == self._last_test if channel is None else channel.is_last_hardware(nodeid)

    def _give_back(self) -> None:
        """End the board's fixtures and all that rest on them, make the board safe, and let others have it."""
        self._end_fixtures()
        try:
            if self._keeper is not None:
                self._keeper.release()
        except HilError as error:
            self.ledger.trouble.append(str(error))
            self._unsafe = self._unsafe or not isinstance(
                error, BoardLostError
            )  # its tests have told, as skips

    def _end_fixtures(self) -> None:
        if self._fixture is not None:
            finish, self._fixture = self._fixture, None
            finish()

    def judge(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Replace an error that missing hardware explains, and is proven to, by the outcome that says so."""
        if call.excinfo is None or item.stash[KIND] is Kind.NO_HARDWARE:
            return
        from hil.suite.verdicts import REASONS, judge, told_to_pytest  # noqa: PLC0415 - for errors of tests that use boards

        with TimeLimitPause.paused(item):
            judgement = judge(
                call.excinfo.value,
                kind=item.stash[KIND],
                phase=call.when,
                proven=self.keeper.error,
                prove=self.keeper.prove,
            )
        if judgement is not None:
            if judgement.verdict is Verdict.LOST and self._channel and self.keeper.held:
                self._channel.lost(self.keeper.held.board.serial)
            describe_judgement(item, judgement, REASONS[judgement.verdict])
            call.excinfo = told_to_pytest(
                judgement.reason, required=self.options.require or item.stash[KIND] is Kind.MIXED
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take each phase of each test into the ledger."""
        self.ledger.add(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the board safe and give it back, after every fixture is gone."""
        self._block.active = self._blocked_outside
        self._give_back()
        if self._unsafe:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        if self._worker_input is not None:
            output = self.ledger.as_data() | {"unsafe": self._unsafe}
            self._config.workeroutput[_FROM_WORKER] = output  # type: ignore[attr-defined]  # xdist's

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the ledger."""
        write_summary(self.ledger, terminalreporter)

    def pytest_unconfigure(self) -> None:
        """End the simulated boards that this process started."""
        if self._hosts is not None:
            self._hosts.close()
        if self._started is not None:
            self._started.close()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist's worker controller
        """Start the simulated boards of a parallel run once, and tell each worker where they are."""
        if self.options.boards.where is Where.STARTED:
            if self._started is None:
                from hil.suite.hosts import start_boards  # noqa: PLC0415 - only runs that ask for it pay

                self._started = start_boards(self.options.boards.number)
            node.workerinput[_FROM_FIRST] = self._started.ready

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's worker controller
        """Take over what a worker counted; every worker collects the same tests."""
        output = getattr(node, "workeroutput", {}).get(_FROM_WORKER, {})
        self.ledger.take_over(output)
        self._unsafe = self._unsafe or output.get("unsafe", False)
