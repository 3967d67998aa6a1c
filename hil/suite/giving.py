"""This process's board: given to each test that wants one, taken back behind the last that needs it.

The driver is imported when the first test that uses a board comes along.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import BoardLostError, HilError, UnavailableError
from hil.suite.ledger import describe_board, describe_image, describe_test
from hil.suite.scheduling import worker_channel
from hil.suite.selection import Kind, kind_of, uses_board
from hil.suite.wishes import Wish, wish_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.dutlink.board import Board
    from hil.suite.boards import BoardKeeper
    from hil.suite.hosts import Hosts
    from hil.suite.ledger import Ledger
    from hil.suite.options import RunOptions
    from hil.suite.processes import Processes
    from hil.suite.run_channel import WorkerChannel
    from hil.suite.wishes import BoardCard

__all__ = ["Giving"]


class Giving:
    """A `BoardGiver`, and who else knows the board that is held.

    Args:
        config: The run, as this process knows it.
        options: What it was asked for.
        ledger: Is told which board could not be made safe.
        processes: Where simulated boards are, and for whom this process works.
    """

    def __init__(
        self, config: pytest.Config, options: RunOptions, ledger: Ledger, processes: Processes
    ) -> None:
        self._config = config
        self._options = options
        self._ledger = ledger
        self._processes = processes
        self._keeper: BoardKeeper | None = None
        self._hosts: Hosts | None = None
        self._fixture: Callable[[], None] | None = None
        self._last_test = ""
        self._given: str | None = None
        self._told: set[str] = set()

    @property
    def keeper(self) -> BoardKeeper:
        """Who holds the board, and the driver with it."""
        if self._keeper is None:
            from hil.suite.boards import BoardKeeper  # noqa: PLC0415 - the driver is for runs that use boards
            from hil.suite.hosts import Hosts  # noqa: PLC0415 - so is the simulator

            options, processes, channel = self._options, self._processes, self._channel
            self._hosts = Hosts(
                options.boards,
                processes.simulated,
                wait_s=options.wait_s,
                tell=self.show,
                sharing=channel,
                lab=options.lab,
            )
            self._keeper = BoardKeeper(self._hosts, options, processes.controller, self.show)
        return self._keeper

    def held_board(self) -> Board | None:
        """Return the board that is held and was not lost, if there is one."""
        held = self._keeper.held if self._keeper is not None else None
        return held.board if held is not None and self.keeper.error is None else None

    def watch(self) -> tuple[str, ...]:
        """Return what is trouble on the console of the board that is held, as its place has it."""
        held = self._keeper.held if self._keeper is not None else None
        return held.watch if held is not None else ()

    def name_of_board(self) -> str:
        """Return the name of the board that is held; empty if it has none, or does not say."""
        return self.keeper.name_of_board()

    def cards(self) -> list[BoardCard]:
        """Return the boards that can be used; none where none can be looked for: the tests will say why."""
        with suppress(UnavailableError):
            return self.keeper.cards(with_words=True)
        return []

    def check_board(self, cards: Sequence[BoardCard]) -> None:
        """Check the board that the run was told to use, in its first process.

        Args:
            cards: What boards say of themselves.

        Raises:
            pytest.UsageError: No board is called like that, and one that is, probably, is meant.
        """
        mistake = None
        if self._options.board and not any(self._options.board in {one.serial, one.name} for one in cards):
            mistake = self.keeper.mistake(self._options.board)
        if mistake is not None:
            raise pytest.UsageError(f"--hil-board {self._options.board}: {mistake}") from None

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Take note of the tests that are to run, in their order; an xdist worker is told as it goes on."""
        if self._processes.is_worker:
            return
        from_the_end = reversed(items)
        last = next((item for item in from_the_end if kind_of(item) is not Kind.NO_HARDWARE), None)
        self._last_test = last.nodeid if last is not None else ""

    def before(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Get a board for a test, before its time limit begins to run.

        Returns:
            False if the test shall not begin here: its board cannot be used, and the controller of a parallel
            run, which gave it to this worker, gives the test to another board.
        """
        kind = kind_of(item)
        describe_test(item, kind)
        if item.get_closest_marker("skip") is not None:
            return True
        channel = self._channel
        self._given = channel.board(item.nodeid) if channel else None
        self._prepare(item, kind)
        if channel is None or self._given is None or not self.keeper.is_unusable:
            return True
        self.lost()
        self.give_back()
        if nextitem is not None:  # so the controller knows a worker that can take it
            channel.give_test_back(item.nodeid)
            return False
        self._given = None
        self._prepare(item, kind)
        return True

    def check(self, item: pytest.Item) -> None:
        """Raise why a test has no board; one that uses none of the fixtures may find out by itself.

        Where hardware is required, it may not: it could pass without any.
        """
        if self.keeper.error is None:
            return
        if uses_board(item) or self._options.require or not self.keeper.may_run_without:
            raise self.keeper.error

    def over(self, item: pytest.Item) -> None:
        """Note what is known when a test is over, before it is told."""
        if self._keeper is not None and self._keeper.held is not None:
            describe_image(item, self._keeper.held)

    def after(self, item: pytest.Item) -> None:
        """Give the board back after the last test that needs it, or if the controller does not lend it."""
        if self._is_last(item.nodeid) or (self._channel is not None and self._is_borrowed_elsewhere()):
            self.give_back()

    def made(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> None:  # noqa: ANN401 - pytest's own
        """Remember how to end the board's fixture, and with it all that rest on it."""
        self._fixture = partial(fixturedef.finish, request)

    def cool(self, item: pytest.Item) -> None:
        """End what rests on the board, and leave its DUT without power until it is cold."""
        try:
            self._end_fixtures()
            if self._keeper is not None:
                self._keeper.cool()
        except HilError as error:
            self._ledger.trouble.append(f"before {item.nodeid} was repeated: {error}")

    def lost(self) -> None:
        """Tell a controller that gives out boards that this process's is lost, held or only given to it."""
        held = self.keeper.held
        serial = held.board.serial if held is not None else self._given
        if self._channel and serial:
            self._channel.lost(serial)

    def give_back(self) -> None:
        """End the board's fixtures and all that rest on them, make the board safe, and let others have it."""
        self._end_fixtures()
        try:
            if self._keeper is not None:
                self._keeper.release()
        except HilError as error:
            self._ledger.trouble.append(str(error))
            if not isinstance(error, BoardLostError):  # its tests have told, as skips
                self._ledger.unsafe = True

    def close(self) -> None:
        """End the simulated boards that were started for this process alone."""
        if self._hosts is not None:
            self._hosts.close()

    def _prepare(self, item: pytest.Item, kind: Kind) -> None:
        """Hold the board that a test wants; another one that was held is given back first."""
        wish = wish_of(item, self._options.board) or Wish()
        if self._channel is not None:
            self.keeper.share(self._channel.faults(), self._channel.words())
        if not self.keeper.suits(wish, self._given):
            self.give_back()
        self.keeper.prepare(kind, item.nodeid, wish, self._given)
        self._tell_faults()
        if self.keeper.held is not None and self.keeper.error is None:
            held = self.keeper.held
            in_history = self._config.getoption("hil_history", "")  # asks the board, once, for its name
            name = self.name_of_board() if in_history else self._options.lab.name_of(held.board.serial)
            describe_board(item, held, name)

    def _is_borrowed_elsewhere(self) -> bool:
        """Whether the board that is held is not the one that the controller lent, or was lost since."""
        held = self._keeper.held if self._keeper is not None else None
        if held is None or held.is_fallback:
            return False
        return held.board.serial != self._given or held.lost is not None

    def _tell_faults(self) -> None:
        """Tell the run, once, what is wrong with each board that answers and cannot be used."""
        for serial in self.keeper.faults.keys() - self._told:
            self._told.add(serial)
            fault = self.keeper.faults[serial]
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
        return channel.is_last_hardware(nodeid) or (self._hosts is not None and self._hosts.is_extra)

    def _end_fixtures(self) -> None:
        if self._fixture is not None:
            finish, self._fixture = self._fixture, None
            finish()

    def show(self, line: str) -> None:
        """Show the user a line although a test's output is being captured."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stderr.write(f"\n{line}\n")
            sys.stderr.flush()
