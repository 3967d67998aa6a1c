"""Provide this process's board to tests and release it after the last test that uses it.

The driver is imported for the first test that uses a board.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.boards.address import Where
from hil.boards.requirements import ANY_BOARD, BoardRequirement
from hil.dutlink.held_boards import held_boards
from hil.errors import BoardBusyError, BoardLostError, HilError
from hil.suite.boards.dependent_fixtures import raise_together
from hil.suite.boards.left_to_guard import LOOK_S, look_after
from hil.suite.hook_errors import contained, told
from hil.suite.markers import Kind, kind_of, requirement_of, uses_board
from hil.suite.outcome.ledger import LeftBoard
from hil.suite.outcome.user_properties import describe_board, describe_image, describe_test
from hil.suite.xdist.plugin import worker_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.boards.requirements import BoardInfo
    from hil.boards.sources import BoardSource
    from hil.dutlink.board import Board
    from hil.suite.boards.dependent_fixtures import DependentFixtures
    from hil.suite.boards.session import BoardSession
    from hil.suite.options import RunOptions
    from hil.suite.outcome.ledger import Ledger
    from hil.suite.xdist.channel import WorkerChannel
    from hil.suite.xdist.processes import Processes

__all__ = ["BoardPlugin"]

SYSTEM_DEV = Path("/dev")
"""Where the nodes of real boards are: in every run these are opened under a lease only."""


class BoardPlugin:
    """A `BoardGiver`; it also tells other plugins which board is held.

    Args:
        config: The run, as this process knows it.
        options: What it was asked for.
        ledger: Is told which board could not be made safe.
        processes: Where simulated boards are, and for whom this process works.
        resting: The fixtures that rest on the board.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: RunOptions,
        ledger: Ledger,
        processes: Processes,
        resting: DependentFixtures,
    ) -> None:
        self._config = config
        self._options = options
        self._ledger = ledger
        self._processes = processes
        self._session: BoardSession | None = None
        self._resting = resting
        self._late_errors: list[BaseException] = []
        self._following: dict[str, pytest.Item] = {}
        self._last_test = ""
        self._requirement = ANY_BOARD
        self._given: str | None = None
        self._told: set[str] = set()
        self._restricted: set[Path] = set()

    @property
    def session(self) -> BoardSession:
        """The session of the board; made, with the driver, when it is first asked for."""
        if self._session is None:
            from hil.suite.boards.session import BoardSession  # noqa: PLC0415 - the driver is for runs that use boards

            self._session = BoardSession(
                self._source(), self._options, self._processes.controller, self.show, self._end_fixtures
            )
        return self._session

    def _source(self) -> BoardSource:
        options = self._options
        if options.boards.where is Where.JUMPSTARTER:
            from hil.boards.remote_source import RemoteSource  # noqa: PLC0415 - for boards of a Jumpstarter lab

            return RemoteSource(
                options.boards, lab=options.lab, wait_s=options.wait_s, tell=self.show, leases=self._channel
            )
        from hil.boards.sources import source_of  # noqa: PLC0415 - imports the driver

        return source_of(options.boards, ready=self._processes.simulated, lab=options.lab)

    def held_board(self) -> Board | None:
        """Return the board that is held and was not lost, if there is one."""
        held = self._session.held if self._session is not None else None
        return held.board if held is not None and self.session.error is None else None

    def watch(self) -> tuple[str, ...]:
        """Return what is trouble on the console of the board that is held, as its place has it."""
        held = self._session.held if self._session is not None else None
        return held.watch if held is not None else ()

    def name_of_board(self) -> str:
        """Return the name of the board that is held; empty if it has none, or does not say."""
        return self.session.name_of_board()

    def infos(self) -> list[BoardInfo]:
        """Return the boards that can be used; none if no host can be searched: then the tests say why."""
        with suppress(Exception):
            return self.session.search.infos(with_words=True)
        return []

    def check_board(self, infos: Sequence[BoardInfo]) -> None:
        """Check the board that the run was told to use, in its first process.

        Args:
            infos: What boards say of themselves.

        Raises:
            pytest.UsageError: No board has that name or serial number, so it is misspelt.
        """
        mistake = None
        if self._options.board and not any(self._options.board in {one.serial, one.name} for one in infos):
            mistake = self.session.search.mistake(BoardRequirement(board=self._options.board))
        if mistake is not None:
            raise pytest.UsageError(f"--hil-board {self._options.board}: {mistake}")

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Take note of the tests to run, in their order; an xdist worker learns its tests one by one."""
        self._block_simulated()
        if self._processes.is_worker:
            return
        following: pytest.Item | None = None
        for item in reversed(items):
            if following is not None:
                self._following[item.nodeid] = following
            if _takes_a_board(item):
                following = item
            if not self._last_test and kind_of(item) is not Kind.NO_HARDWARE:
                self._last_test = item.nodeid

    def acquire_for(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Get a board for a test, before its time limit begins to run.

        Returns:
            False if the test shall not begin here: its board cannot be used, and the controller of a parallel
            run, which gave it to this worker, gives the test to another board.
        """
        describe_test(item, kind_of(item))
        if _takes_a_board(item):
            with contained(self._late_errors.append):  # `raise_if_missing` raises them
                return self._get(item, nextitem, kind_of(item))
        return True

    def _get(self, item: pytest.Item, nextitem: pytest.Item | None, kind: Kind) -> bool:
        channel = self._channel
        self._given = channel.board(item.nodeid) if channel else None
        hasty = channel is not None and nextitem is not None and not channel.is_patient(item.nodeid)
        self.session.hurry(self._given is not None and hasty)
        self._prepare(item, kind)
        self.session.hurry(False)
        if channel is None or self._given is None or not self.session.is_unusable:
            return True
        if hasty and isinstance(self.session.error, BoardBusyError):
            channel.busy(self._given)
        else:
            self.lost()
        self.give_back()
        if nextitem is not None:  # so the controller knows a worker that can take it
            channel.give_test_back(item.nodeid)
            return False
        self._given = None
        self._prepare(item, kind)
        return True

    def raise_if_missing(self, item: pytest.Item) -> None:
        """Raise why a test has no board.

        A test that uses none of the board's fixtures may run without one and look for itself, but not where
        hardware is required: it could pass without any. Errors from giving up the previous board are raised
        here too: no other test is left to report them.
        """
        self._ledger.begin(item.nodeid, kind_of(item))
        errors, self._late_errors = self._late_errors, []
        raise_together(errors, "errors in fixtures of the board before")
        if self.session.error is None:
            return
        if uses_board(item) or self._options.require or not self.session.may_run_without:
            raise self.session.error

    def record_result(self, item: pytest.Item) -> None:
        """Note which image was flashed, before the last report of a test is made."""
        with contained(partial(self.keep_trouble, f"after {item.nodeid}")):
            if self._session is not None and self._session.held is not None:
                describe_image(item, self._session.held)

    def release_if_last(self, item: pytest.Item) -> None:
        """Give the board back after the last test that needs it, or if the controller does not lend it."""
        with contained(partial(self.keep_trouble, f"after {item.nodeid}")):
            if self._is_last(item.nodeid) or self._is_borrowed_elsewhere():
                self.give_back()

    def end_resting(
        self, item: pytest.Item, nextitem: pytest.Item | None, failed: Sequence[BaseException]
    ) -> list[BaseException]:
        """End the fixtures that rest on the board if this is the last test on it; see `BoardGiver`."""
        if not self._resting:
            return []
        return self._resting.end() if self._is_over(item, nextitem, failed) else []

    def end_late(self) -> bool:
        """End what rests on the board after the last test; return True if that failed."""
        errors = self._late_errors + self._resting.end()
        self._late_errors = []
        self._ledger.trouble += [f"after the last test: {type(one).__name__}: {one}" for one in errors]
        return bool(errors)

    def interrupted(self) -> None:
        """Give the board back: the run was interrupted."""
        with contained(partial(self.keep_trouble, "after the interrupt")):
            self.give_back("the run was interrupted")

    def power_down(self, item: pytest.Item) -> None:
        """End what rests on the board, and leave its DUT without power until it is cold."""
        with contained(partial(self.keep_trouble, f"before {item.nodeid} was repeated")):
            self._end_fixtures()
            if self._session is not None:
                self._session.power_down()

    def lost(self) -> None:
        """Tell the controller, if it gives out boards, that this process's board cannot be used."""
        held = self.session.held
        serial = held.board.serial if held is not None else self._given
        if self._channel and serial:
            self._channel.lost(serial)

    def give_back(self, why: str = "no later test of this process uses it") -> None:
        """End the board's fixtures and all that rest on them, make the board safe, and let others have it."""
        self._end_fixtures()
        held = self._session.held if self._session is not None else None
        try:
            if self._session is not None:
                self._session.release(why)
            if held is not None:
                self._forget_left(held.board.serial)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lease was given up
            trouble = str(error) if isinstance(error, HilError) else told(error)
            is_lost = isinstance(error, BoardLostError)  # its tests have told, as skips; not made safe soon
            if held is None or held.lease is None:
                self._ledger.trouble.append(trouble)
            else:
                serial, folder = held.board.serial, str(held.lease.folder)
                wait_s = 0.0 if is_lost else LOOK_S
                self._ledger.left.append(LeftBoard(trouble, serial, folder, os.getpid(), wait_s))
            self._ledger.unsafe = self._ledger.unsafe or not is_lost

    def _forget_left(self, serial: str) -> None:
        """Take back that a board was not made safe: it came back in this run, and was made safe now.

        Where that failed the run, its summary must say why.
        """
        back = [one for one in self._ledger.left if one.serial == serial]
        self._ledger.left[:] = [one for one in self._ledger.left if one.serial != serial]
        later = "made safe later in the run"
        self._ledger.safe_since += [f"{one.trouble}; {later}" for one in back if one.wait_s]

    def keep_trouble(self, when: str, error: BaseException) -> None:
        """Have the run fail, and its summary tell an error that no test is left to raise."""
        self._ledger.trouble.append(f"{when}: {told(error)}")
        self._ledger.unsafe = True

    def end(self) -> None:
        """Give the board back; tell, in the first process, what became of those that were left to guards.

        Their guards may be at work, or another worker may have such a board, until the whole run ends.
        """
        with contained(partial(self.keep_trouble, "at the end of the run")):
            self.give_back()
        with contained(partial(self.keep_trouble, "at the end of the run")):
            if not self._processes.is_worker:
                self._look_after_left()

    def _look_after_left(self) -> None:
        """Tell what became of boards that were left; Ctrl-C ends the waiting for guards, not the telling."""
        while self._ledger.left:
            left = self._ledger.left[0]
            try:
                is_safe, how = look_after(left)
            except KeyboardInterrupt:
                self._ledger.unsafe = True
                self._ledger.left[:] = [replace(one, wait_s=0.0) for one in self._ledger.left]
                continue
            kept = self._ledger.safe_since if is_safe else self._ledger.trouble
            kept.append(f"{left.trouble}; {how}")
            del self._ledger.left[0]

    def close(self) -> None:
        """End the simulated boards that were started for this process alone."""
        while self._restricted:
            held_boards.lift(self._restricted.pop())
        if self._session is not None:
            with contained(lambda error: self.show(f"hil: simulated boards did not end: {told(error)}")):
                self._session.close()

    def _prepare(self, item: pytest.Item, kind: Kind) -> None:
        """Hold the board that a test wants; another one that was held is given back first."""
        requirement = requirement_of(item, self._options.board) or ANY_BOARD
        if self._channel is not None:
            self.session.share(self._channel.faults(), self._channel.words())
        if not self.session.suits(requirement, self._given):
            self.give_back("the next test wants another board")
        elif self.session.can_replace(requirement, self._given):
            self.give_back("it was lost, and another board can be used")
        self._requirement = requirement
        self.session.prepare(kind, item.nodeid, requirement, self._given)
        self._tell_faults()
        self._block_simulated()
        if self.session.held is not None and self.session.error is None:
            held = self.session.held
            self._restrict(held.host.dev)
            held.test = item.nodeid
            held.board.access.raise_if_blocked = partial(self._resting.block.check, "a board of this run")
            in_history = self._config.getoption("hil_history", "")  # asks the board, once, for its name
            name = self.name_of_board() if in_history else self._options.lab.name_of(held.board.serial)
            describe_board(item, held, name)

    def _is_borrowed_elsewhere(self) -> bool:
        """Whether the board that is held is not the one that the controller lent, or was lost since."""
        held = self._session.held if self._session is not None else None
        if held is None or held.is_fallback or self._channel is None:
            return False
        return held.board.serial != self._given or held.lost is not None

    def _tell_faults(self) -> None:
        """Tell the run, once, what is wrong with each board that answers and cannot be used."""
        for serial in self.session.search.faults.keys() - self._told:
            self._told.add(serial)
            fault = self.session.search.faults[serial]
            self._ledger.faults[serial] = " ".join(f"{fault.what}: {fault.why}. Try: {fault.remedy}".split())
            if self._channel is not None:
                self._channel.fault(serial, fault)

    @property
    def _channel(self) -> WorkerChannel | None:
        """The line to a controller that gives out boards, in its workers."""
        channel = worker_channel(self._config)
        return channel if channel is not None and channel.schedules else None

    def _is_last(self, nodeid: str) -> bool:
        """Whether no test of this process needs the board any more."""
        channel = self._channel
        if channel is None:
            return nodeid == self._last_test
        is_extra = self._session is not None and self._session.source.is_extra
        return is_extra or channel.is_last_hardware(nodeid)

    def _block_simulated(self) -> None:
        """Keep tests away from boards that they are not to use, however they know of them.

        No_hardware tests do not reach the simulated boards of this run; the others open only boards that this
        process holds.
        """
        self._restrict(SYSTEM_DEV)
        if self._session is not None or self._options.boards.simulated:
            with suppress(Exception):  # the tests that use them will say why
                self._resting.block.ports |= self.session.usbip_ports()
                for dev in self.session.device_folders():
                    self._restrict(dev)

    def _restrict(self, dev: Path) -> None:
        if dev not in self._restricted:
            self._restricted.add(dev)
            held_boards.restrict(dev)

    def _is_over(
        self, item: pytest.Item, nextitem: pytest.Item | None, failed: Sequence[BaseException]
    ) -> bool:
        """Return True if no later test uses the board as it was opened."""
        held = self._session.held if self._session is not None else None
        if held is None or nextitem is None or self._is_last(item.nodeid):
            return True
        self._look(item, failed)
        if not self.session.is_as_opened() or self._is_borrowed_elsewhere():
            return True
        following = self._following.get(item.nodeid)
        if self._processes.is_worker and _takes_a_board(nextitem):
            following = nextitem
        return following is not None and not self._will_do_for(following)

    def _look(self, item: pytest.Item, failed: Sequence[BaseException]) -> None:
        """Look whether the board is lost, if a lost board would explain the errors of a tear-down."""
        from hil.suite.outcome.verdicts import may_be_hardware_error  # noqa: PLC0415 - for errors of tests that use boards

        if kind_of(item) is not Kind.NO_HARDWARE and any(map(may_be_hardware_error, failed)):
            with self._resting.limit.paused(), suppress(Exception):  # a look that fails proves nothing
                self.session.prove()

    def _will_do_for(self, item: pytest.Item) -> bool:
        """Return True if the acquired board suits a later test; it is asked only for another requirement."""
        requirement = requirement_of(item, self._options.board) or ANY_BOARD
        given = self._channel.board(item.nodeid) if self._channel is not None else None
        if requirement == self._requirement and given is None:
            return True
        return self.session.suits(requirement, given)

    def _end_fixtures(self) -> None:
        """End what rests on the board between two tests; the next one tells what went wrong."""
        self._late_errors += self._resting.end()

    def show(self, line: str) -> None:
        """Show the user a line although a test's output is being captured."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stderr.write(f"\n{line}\n")
            sys.stderr.flush()


def _takes_a_board(item: pytest.Item) -> bool:
    """Whether a test is given a board before it begins."""
    return kind_of(item) is not Kind.NO_HARDWARE and item.get_closest_marker("skip") is None
