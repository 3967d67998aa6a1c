"""Provide this process's board, or boards, to tests and release it after the last test that uses it.

The driver is imported for the first test that uses a board.
"""

from __future__ import annotations

import sys
import threading
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from hil.boards.requirements import ANY_BOARD, BoardRequirement
from hil.errors import BoardBusyError, HilError
from hil.evidence.records import part_name
from hil.suite.boards.dependent_fixtures import raise_together
from hil.suite.boards.remaining_tests import RemainingTests, gets_a_board
from hil.suite.boards.restriction import BoardRestriction
from hil.suite.boards.unsafe_boards import UnsafeBoards
from hil.suite.columns.column import column_of
from hil.suite.hook_errors import contained, told
from hil.suite.images.run_images import RunImages
from hil.suite.markers import Kind, kind_of, requirement_of, uses_board
from hil.suite.outcome.user_properties import (
    describe_board,
    describe_image,
    describe_partners,
    describe_test,
)
from hil.suite.xdist.plugin import worker_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.board_source import BoardSource
    from hil.boards.requirements import BoardInfo
    from hil.dutlink.board import Board
    from hil.suite.boards.dependent_fixtures import DependentFixtures
    from hil.suite.boards.session import BoardSession
    from hil.suite.columns.listed_boards import ListedBoard
    from hil.suite.images.board_images import RunImage
    from hil.suite.options import RunOptions
    from hil.suite.outcome.ledger import Ledger
    from hil.suite.xdist.processes import Processes
    from hil.suite.xdist.worker_channel import WorkerChannel

__all__ = ["BoardLifecycle"]


class BoardLifecycle:
    """This process's board, acquired before a test that uses one and released after the last of them.

    Args:
        config: The run.
        options: The options of the run.
        ledger: Takes boards that could not be made safe, and board faults.
        processes: The processes of the run.
        fixtures: The fixtures that depend on the board.

    Attributes:
        requirement: What the present test says of its boards.
        images: The images of the run.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: RunOptions,
        ledger: Ledger,
        processes: Processes,
        fixtures: DependentFixtures,
    ) -> None:
        self._config = config
        self._options = options
        self._ledger = ledger
        self._processes = processes
        self._fixtures = fixtures
        self._unsafe = UnsafeBoards(ledger)
        self._restriction = BoardRestriction(fixtures.block)
        self._session: BoardSession | None = None
        self._late_errors: list[BaseException] = []
        self._remaining = RemainingTests(is_worker=processes.is_worker)
        self.requirement = ANY_BOARD
        self._listed: Sequence[ListedBoard] | None = None
        self.images = RunImages(options, self.listed_for_all, self.show, ledger.flashes)
        self._given: str | None = None
        self._given_partners: tuple[str, ...] = ()
        self._told: set[str] = set()
        self._threads_before: frozenset[threading.Thread] = frozenset()

    @property
    def session(self) -> BoardSession:
        """The acquired board and what is known of the others; the first call imports the driver."""
        if self._session is None:
            from hil.suite.boards.session import BoardSession  # noqa: PLC0415 - the driver is for runs that use boards

            self._session = BoardSession(
                self._source(),
                self._options,
                self._processes.controller,
                self.show,
                before_reopening=self._end_fixtures,
                release_other=self._release_other,
            )
        return self._session

    def held_board(self) -> Board | None:
        """Return the acquired board; None if there is none, or it was lost."""
        held = self._held
        return held.board if held is not None and self.session.error is None else None

    def held_boards(self) -> list[Board]:
        """Return all boards of the present test; none if there are none, or one was lost."""
        if self._session is None or self._session.error is not None:
            return []
        return [held.board for held in self._session.all_held]

    def names_by_board(self, nodeid: str) -> list[str]:
        """Return the name under which evidence of a test is kept, for each of its boards.

        For the first board it is the node id; for each further one it has the role, too.
        """
        return [nodeid, *(part_name(nodeid, role) for role in self.requirement.roles[1:])]

    def watch(self, board: Board) -> tuple[str, ...]:
        """Return the regular expressions of a board's place for trouble on the console."""
        held = self._session.all_held if self._session is not None else ()
        return next((one.watch for one in held if one.board is board), ())

    def infos(self) -> list[BoardInfo]:
        """Return the boards that can be used; none if no host can be searched: then the tests say why."""
        with suppress(Exception):
            return self.session.search.infos(with_words=True)
        return []

    def listed_for_all(self) -> Sequence[ListedBoard]:
        """Return the boards that a test can be told to run on: all workers of a controller get its list.

        They are looked for once.
        """
        if self._listed is None:
            channel = worker_channel(self._config)
            self._listed = self.listed() if channel is None else channel.listed_boards()
        return self._listed

    def listed(self) -> list[ListedBoard]:
        """Return the boards that a test can be told to run on; none if they cannot be listed."""
        from hil.suite.columns.listed_boards import list_boards  # noqa: PLC0415 - for tests that run on each board

        with suppress(Exception):  # the tests say why
            source, options = self.session.source, self._options
            infos = [] if source.is_remote else self.infos()
            return list_boards(source, options.lab, infos, options.board)
        return []

    def check_board(self, infos: Sequence[BoardInfo]) -> None:
        """Check `--hil-board`, in the controller.

        Args:
            infos: The boards that can be used.

        Raises:
            pytest.UsageError: No board has that name or serial number, so it is misspelt.
        """
        mistake = None
        if self._options.board and not any(self._options.board in {one.serial, one.name} for one in infos):
            mistake = self.session.search.mistake(BoardRequirement(board=self._options.board))
        if mistake is not None:
            raise pytest.UsageError(f"--hil-board {self._options.board}: {mistake}")

    def begin(self) -> None:
        """Note the threads that run before test files are imported. These open no board of this host."""
        self._threads_before = frozenset(threading.enumerate())
        self._restriction.apply(None)

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Note the tests of this process, in their order."""
        self._restrict_boards()
        self.images.plan(items)
        self._remaining.plan(items)

    def acquire_for(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Acquire a board for a test, before its time limit starts, or keep the error; raise nothing.

        Returns:
            False if the test is not to begin in this process: its board cannot be used, and the controller
            gives the test to another board.
        """
        kind = kind_of(item)
        describe_test(item, kind)
        if not gets_a_board(item):
            return True
        with contained(self._late_errors.append):  # `raise_if_missing` raises them
            channel = self._channel
            self._given = channel.board(item.nodeid) if channel else None
            self._given_partners = channel.partners(item.nodeid) if channel else ()
            may_wait = channel is None or nextitem is None or channel.may_wait(item.nodeid)
            self.session.set_may_wait(self._given is None or may_wait)
            self._prepare(item, kind)
            self.session.set_may_wait(True)
            if channel is not None and self._given is not None and self.session.is_unusable:
                return self._keep_or_return(channel, item, nextitem, may_wait=may_wait)
        return True

    def raise_if_missing(self, item: pytest.Item) -> None:
        """Raise why a test has no board.

        A test that uses none of the board's fixtures may run without one and open a board itself, except
        where hardware is required: it could pass without any. Errors from the release of the previous board
        are raised here, too: no other test is left to report them.
        """
        self._ledger.begin(item.nodeid, kind_of(item))
        if getattr(item, "execution_count", 1) > 1:  # pytest-rerunfailures runs it again within one protocol
            with self._fixtures.limit.stopped_then_reset():
                self._put_image(item)
        errors, self._late_errors = self._late_errors, []
        raise_together(errors, "errors in fixtures of the board before")
        if self.session.error is None:
            return
        if uses_board(item) or self._options.require or not self.session.may_run_without:
            raise self.session.error

    def record_result(self, item: pytest.Item) -> None:
        """Note which image each board of a test had, before its last report is made; raise nothing."""
        with contained(partial(self._unsafe.add_error, f"after {item.nodeid}")):
            if self._held is not None and self.session.error is None:
                boards = self.session.all_held
                describe_image(
                    item, [(self.images.flashed(one), one.board.storage.flashed) for one in boards]
                )

    def release_if_last(self, item: pytest.Item) -> None:
        """Release the board after its last test, if the controller assigned another, or if it is lost."""
        with contained(partial(self._unsafe.add_error, f"after {item.nodeid}")):
            if self._is_last(item.nodeid) or self._is_not_the_given():
                self.release()

    def end_fixtures(
        self, item: pytest.Item, nextitem: pytest.Item | None, failed: Sequence[BaseException]
    ) -> list[BaseException]:
        """End the fixtures that depend on the board, if no later test uses the board as it was opened.

        Args:
            item: The test that is torn down.
            nextitem: The next test of this process, or None.
            failed: The errors of the tear-down so far.

        Returns:
            The errors of the tear-downs.
        """
        if self._fixtures and self._is_over(item, nextitem, failed):
            return self._fixtures.end()
        return []

    def end_late(self) -> bool:
        """End the fixtures after the last test, which cannot report errors; return True if there were any."""
        errors = self._late_errors + self._fixtures.end()
        self._late_errors = []
        self._ledger.trouble += [f"after the last test: {type(one).__name__}: {one}" for one in errors]
        return bool(errors)

    def interrupted(self) -> None:
        """Release the board after Ctrl-C; raise nothing."""
        with contained(partial(self._unsafe.add_error, "after the interrupt")):
            self.release("the run was interrupted")

    def power_down(self, item: pytest.Item) -> None:
        """End the fixtures that depend on the board, and leave its DUT without power until it is cold."""
        with contained(partial(self._unsafe.add_error, f"before {item.nodeid} was repeated")):
            self._end_fixtures()
            if self._session is not None:
                self._session.power_down()

    def lost(self) -> None:
        """Tell the controller, if it gives boards, that this process's board cannot be used."""
        if (channel := self._channel) is not None:
            for serial in self._lost_boards():
                channel.lost(serial)

    def release(self, why: str = "no later test of this process uses it") -> None:
        """End the fixtures that depend on the board, make it safe, and release it."""
        self._end_fixtures()
        for held in reversed(self._session.all_held) if self._session is not None else ():
            self._release(held, why)

    def _release_other(self, held: AcquiredBoard) -> None:
        """Release one of several boards, before the next test gets its boards."""
        self._end_fixtures()
        self._release(held, "the next test does not use it, or waits for others")

    def _release(self, held: AcquiredBoard, why: str) -> None:
        try:
            self.session.release(why, held)
            self._unsafe.forget(held.board.serial)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lease was released
            self._unsafe.add(error, held)

    def end(self) -> None:
        """Release the board; in the controller tell what became of boards that were left to their guards.

        Until the whole run ends, guards may be at work, and another worker may have such a board.
        """
        with contained(partial(self._unsafe.add_error, "at the end of the run")):
            self.release()
        with contained(partial(self._unsafe.add_error, "at the end of the run")):
            if not self._processes.is_worker:
                self._unsafe.await_guards()

    def close(self) -> None:
        """End the simulated boards that were started for this process alone; forget the run's token."""
        if self._threads_before.issuperset(threading.enumerate()):  # a thread of a test must open no board
            self._restriction.lift()
        if self._session is not None:
            with contained(lambda error: self.show(f"hil: simulated boards did not end: {told(error)}")):
                self._session.close()
            from hil.boards.passed_token import remove_token  # noqa: PLC0415 - imported with the session

            remove_token(self._threads_before)

    def show(self, line: str) -> None:
        """Show the user a line although pytest captures a test's output."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stderr.write(f"\n{line}\n")
            sys.stderr.flush()

    @property
    def _held(self) -> AcquiredBoard | None:
        return self._session.held if self._session is not None else None

    @property
    def _channel(self) -> WorkerChannel | None:
        """The connection to a controller that gives boards, in its workers."""
        channel = worker_channel(self._config)
        return channel if channel is not None and channel.schedules else None

    def _source(self) -> BoardSource:
        from hil.boards.sources import source_of  # noqa: PLC0415 - imports the driver

        options = self._options
        return source_of(
            options.boards,
            ready=self._processes.simulated,
            lab=options.lab,
            wait_s=options.wait_s,
            tell=self.show,
            leases=self._channel,
        )

    def _keep_or_return(
        self, channel: WorkerChannel, item: pytest.Item, nextitem: pytest.Item | None, *, may_wait: bool
    ) -> bool:
        """Return a test without a usable board to the controller, and False, if another test follows here.

        Otherwise acquire any board for it, and return True.
        """
        if not may_wait and isinstance(self.session.error, BoardBusyError):
            self._tell_busy(channel, self.session.error)
        else:
            self.lost()
        self.release()
        if nextitem is not None:  # so the controller knows a worker that can run it
            channel.return_test(item.nodeid)
            return False
        self._given, self._given_partners = None, ()
        self._prepare(item, kind_of(item))
        return True

    def _tell_busy(self, channel: WorkerChannel, error: BoardBusyError) -> None:
        """Tell the controller which of the given boards another process holds."""
        given = (self._given or "", *self._given_partners)
        channel.busy(error.serial if error.serial in given else given[0])

    def _lost_boards(self) -> list[str]:
        """Return the boards of the present test that cannot be used: one at least, if it has any."""
        lost = [held.board.serial for held in (self._session.all_held if self._session else ()) if held.lost]
        if lost:
            return lost
        given = [self._given, *self._given_partners] if self._given else []
        serial = getattr(self.session.error, "serial", None)
        known = serial if serial in given else next(iter(given), None)
        first = self._held.board.serial if self._held is not None else known
        return [first] if first else []

    def _prepare(self, item: pytest.Item, kind: Kind) -> None:
        """Acquire the board that a test needs; first release another one."""
        session = self.session
        requirement = requirement_of(item, self._options.board) or ANY_BOARD
        if self._channel is not None:
            session.take_shared(self._channel.faults(), self._channel.words())
        if requirement.partners or session.partners:
            pass  # the session keeps those of its boards that will do
        elif not session.suits(requirement, self._given):
            self.release("the next test wants another board")
        elif session.can_replace(requirement, self._given):
            self.release("it was lost, and another board can be used")
        elif self._has_other_image(item):
            self.release("the next test wants another image")
        self.requirement = requirement
        session.prepare(kind, item.nodeid, requirement, self._given, partners=self._given_partners)
        self._put_image(item)
        self._tell_faults()
        self._restrict_boards()
        held = session.held
        if held is not None and session.error is None:
            check = partial(self._fixtures.block.check, "a board of this run")
            for one in session.all_held:
                self._restriction.restrict(one.host.dev)
                one.test = item.nodeid
                one.board.access.raise_if_blocked = check
            names = [self._name_of(item, one) for one in session.all_held]
            describe_board(item, held, names[0])
            describe_partners(item, dict(zip(requirement.roles, session.all_held, strict=True)), names)

    def _name_of(self, item: pytest.Item, held: AcquiredBoard) -> str:
        """Return the name under which people know a test's board, or an empty string."""
        column, serial = column_of(item), held.board.serial
        if column is not None and column.each == "board" and column.group != serial:
            return column.group
        keeps = any(self._config.getoption(name, "") for name in ("hil_history", "hil_report"))
        name = self.session.name_of(held) if keeps else self._options.lab.name_of(serial)
        return name or (held.source.listed_name(serial) if held.source is not None else "")

    def image(self) -> RunImage:
        """Return the image of the present test.

        Raises:
            UsageError: The test has none.
        """
        return self.images.of(self._held)

    def _has_other_image(self, item: pytest.Item) -> bool:
        """Return True if an acquired board has another image than a test wants."""
        with suppress(HilError):  # `_put_image` raises it again
            return any(
                self.images.has_other(item, held, partial(self.session.info_of, held))
                for held in self.session.all_held
            )
        return False

    def _put_image(self, item: pytest.Item) -> None:
        """Put the image that a test wants on its boards, or keep the error for the test to raise."""
        for held in self.session.all_held:
            if self.session.error is None:
                with contained(self.session.fail):
                    self.images.put(item, held, partial(self.session.info_of, held))

    def _tell_faults(self) -> None:
        """Tell the run, once, what is wrong with each board that answers and cannot be used."""
        faults = self.session.search.faults
        for serial in faults.keys() - self._told:
            self._told.add(serial)
            fault = faults[serial]
            self._ledger.faults[serial] = " ".join(f"{fault.what}: {fault.why}. Try: {fault.remedy}".split())
            if self._channel is not None:
                self._channel.fault(serial, fault)

    def _restrict_boards(self) -> None:
        """Keep tests from boards that this process has not acquired, no_hardware tests from all boards."""
        session = self._session
        if self._options.boards.simulated:
            with suppress(Exception):  # the tests that use these boards raise it
                session = self.session
        self._restriction.apply(session)

    def _is_not_the_given(self) -> bool:
        """Return True if the acquired board is not the one that the controller gave, or was lost since."""
        held = self._held
        if held is None or held.is_fallback or self._channel is None:
            return False
        is_lost = any(one.lost is not None for one in self.session.all_held)
        return held.board.serial != self._given or is_lost

    def _is_last(self, nodeid: str) -> bool:
        """Return True if no later test of this process needs the board."""
        channel = self._channel
        if channel is None:
            return nodeid == self._remaining.last
        is_extra = self._session is not None and self._session.source.is_extra
        return is_extra or channel.is_last_hardware(nodeid)

    def _is_over(
        self, item: pytest.Item, nextitem: pytest.Item | None, failed: Sequence[BaseException]
    ) -> bool:
        """Return True if no later test uses the board as it was opened."""
        if self._held is None or nextitem is None or self._is_last(item.nodeid):
            return True
        self._probe_if_lost(item, failed)
        if not self.session.is_as_opened() or self._is_not_the_given():
            return True
        following = self._remaining.next_with_board(item, nextitem)
        return following is not None and not self._will_do_for(following)

    def _probe_if_lost(self, item: pytest.Item, failed: Sequence[BaseException]) -> None:
        """Look whether the board is lost, if a lost board would explain the errors of a tear-down."""
        from hil.suite.outcome.verdicts import may_be_hardware_error  # noqa: PLC0415 - for errors of tests that use boards

        if kind_of(item) is not Kind.NO_HARDWARE and any(map(may_be_hardware_error, failed)):
            # a probe that fails proves nothing
            with self._fixtures.limit.stopped_then_reset(), suppress(Exception):
                self.session.probe()

    def _will_do_for(self, item: pytest.Item) -> bool:
        """Return True if the acquired board suits a later test.

        The board is queried only if the requirement differs or the controller assigned a board to the test.
        """
        if self._has_other_image(item):
            return False
        requirement = requirement_of(item, self._options.board) or ANY_BOARD
        given = self._channel.board(item.nodeid) if self._channel is not None else None
        if requirement == self.requirement and given is None:
            return True
        if requirement.partners or requirement.roles != self.requirement.roles:
            partners = self._channel.partners(item.nodeid) if self._channel is not None else ()
            present = (self.requirement, self._given, self._given_partners)
            return (requirement, given, partners) == present
        return self.session.suits(requirement, given)

    def _end_fixtures(self) -> None:
        """End the fixtures that depend on the board between two tests; the next test raises the errors."""
        self._late_errors += self._fixtures.end()
