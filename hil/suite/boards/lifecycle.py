"""Acquire a board, or several, before a test that uses them, and release it after the last test that does.

The driver is imported for the first test that uses a board.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.requirements import ANY_BOARD
from hil.suite.boards.assigned_boards import AssignedBoards
from hil.suite.boards.dependent_fixtures import raise_together
from hil.suite.boards.release import BoardRelease
from hil.suite.boards.remaining_tests import RemainingTests
from hil.suite.boards.restriction import BoardRestriction
from hil.suite.boards.run_boards import RunBoards
from hil.suite.columns.column import column_of
from hil.suite.hook_errors import contained, told
from hil.suite.images.run_images import RunImages
from hil.suite.markers import gets_a_board, kind_of, requirement_of, skip_of, uses_board
from hil.suite.outcome.attempts import attempts_of
from hil.suite.outcome.user_properties import (
    describe_board,
    describe_image,
    describe_partners,
    describe_test,
)
from hil.suite.shown_line import show_line
from hil.suite.xdist.plugin import worker_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.requirements import BoardRequirement
    from hil.dutlink.board import Board
    from hil.suite.boards.dependent_fixtures import DependentFixtures
    from hil.suite.boards.preparation import BoardPreparation
    from hil.suite.boards.session import BoardSession
    from hil.suite.images.board_images import RunImage
    from hil.suite.options import RunOptions
    from hil.suite.outcome.ledger import Ledger
    from hil.suite.xdist.processes import Processes

__all__ = ["BoardLifecycle"]

_SKIP = pytest.StashKey[BaseException | None]()
"""The skip of a test whose author's condition, a text, is met; or the error of that condition."""


class BoardLifecycle:
    """This process's board, acquired before a test that uses one and released after the last of them.

    `session` imports the driver, so it is made for the first test that uses a board. What is made before it
    gets it late: `images` asks for it by a function, and `release` has none until then.

    Args:
        config: The run.
        options: The options of the run.
        ledger: Takes boards that could not be made safe, and board faults.
        processes: The processes of the run.
        fixtures: The fixtures that depend on the board.

    Attributes:
        show: Shows the user a line although pytest captures a test's output.
        of_run: The boards of the run, acquired or not.
        images: The images of the run.
        release: Releases the board.
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
        self._agreed: dict[str, Any] = {}
        self.show = partial(show_line, config)
        self._assigned = AssignedBoards(config)
        self.of_run = RunBoards(config, options, processes, self._assigned, self.show)
        self.images = RunImages(
            options,
            self.of_run.listed_for_all,
            lambda held: self.session.infos.now(held),  # noqa: PLW0108 - the session comes late
            self.show,
            ledger.flashes,
            agree=self._agree,
        )
        self._remaining = RemainingTests(
            options,
            self.of_run,
            self._assigned,
            self.images,
            fixtures.limit,
            is_worker=processes.is_worker,
        )
        self.release = BoardRelease(ledger, fixtures)
        self._restriction = BoardRestriction(fixtures.block)
        self._preparation: BoardPreparation | None = None

    def _agree(self, topic: str, found: Any) -> Any:  # noqa: ANN401 - plain data
        """Return what the first worker found under a topic, or this process if it is no worker."""
        channel = worker_channel(self._config)
        return self._agreed.setdefault(topic, found) if channel is None else channel.agree(topic, found)

    @property
    def session(self) -> BoardSession:
        """The acquired boards, and why the present test has none."""
        return self._prepared.session

    @property
    def _prepared(self) -> BoardPreparation:
        if self._preparation is None:
            from hil.suite.boards.preparation import BoardPreparation  # noqa: PLC0415 - imports the driver

            self._preparation = BoardPreparation(
                self.of_run,
                self._options,
                controller=self._processes.controller,
                is_shared=self._assigned.channel is not None,
                tell=self.show,
                before_reopening=self.release.end_fixtures,
                release_other=self.release.one,
            )
            self.release.session = self._preparation.session
        return self._preparation

    def usable_boards(self) -> list[Board]:
        """Return all boards of the present test; none if there are none, or one was lost."""
        held = self.release.all_held
        return [one.board for one in held] if held and self.session.error is None else []

    def usable_board(self) -> Board | None:
        """Return the acquired board; None if there is none, or it was lost."""
        return next(iter(self.usable_boards()), None)

    def image(self) -> RunImage:
        """Return the image of the present test.

        Raises:
            UsageError: The test has none.
        """
        return self.images.of(next(iter(self.release.all_held), None))

    def begin(self) -> None:
        """Keep tests from boards of this host, before test files are imported."""
        self._restriction.begin()

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Note the tests of this process, in their order."""
        self._restrict_boards()
        self.images.plan(items)
        self._remaining.plan(items)

    def acquire_for(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Acquire a board for a test, before its time limit starts, or keep the error; raise nothing.

        Returns:
            False if the test is not to begin in this process: its board cannot be used, and the controller
            gives the test to another board. A test of which an attempt has begun stays in this process.
        """
        describe_test(item, kind_of(item))
        if self._preparation is not None:
            self.session.clear_error()
        if not gets_a_board(item) or self._is_skipped_by_its_author(item):
            return True
        with contained(self.release.keep_for_next_test):  # `raise_if_missing` raises them
            may_wait = self._assigned.begin(item.nodeid, is_last=nextitem is None)
            self._acquire(item, may_wait=may_wait)
            if self._assigned.serial is not None and self.session.is_unusable:
                self._assigned.report_unusable(self.release.all_held, self.session.error, may_wait=may_wait)
                if attempts_of(item).number > 1:
                    return True  # another worker would not know the failure of the attempt before
                if self._give_back_to_controller(item, nextitem):
                    return False
                self._acquire(item)
        return True

    @staticmethod
    def _is_skipped_by_its_author(item: pytest.Item) -> bool:
        """Return True if a condition skips a test, or fails it; keep the outcome for `begin_attempt`."""
        try:
            skip: BaseException | None = skip_of(item)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - of the author's condition
            skip = error
        item.stash[_SKIP] = skip
        return skip is not None

    def begin_attempt(self, item: pytest.Item) -> None:
        """Count a test that uses a board; raise its author's skip, whose condition is not evaluated again."""
        self._ledger.begin(item.nodeid, kind_of(item))
        skip = item.stash.get(_SKIP, None)
        if skip is not None:
            raise skip

    def _give_back_to_controller(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Give back the boards that the controller assigned, which cannot be used, and the test with them.

        The last test of this process stays, and gets any board that can be used: no test follows it, so it
        cannot be left out. Return True if the controller has the test now.
        """
        self.release.all()
        if nextitem is None:
            self._assigned.clear()
            return False
        self._assigned.return_test(item.nodeid)
        return True

    def raise_if_missing(self, item: pytest.Item) -> None:
        """Raise why a test has no board.

        A test that uses none of the board's fixtures may run without one and open a board itself, except
        where hardware is required: it could pass without any. Errors from the release of the previous board
        are raised here, too: no other test is left to report them.
        """
        if getattr(item, "execution_count", 1) > 1:  # pytest-rerunfailures runs it again within one protocol
            with self._fixtures.limit.stopped_then_reset():
                self._recover_for_rerun(item)
                self._put_image(item)
        if late := self.release.take_late_errors():
            attempts_of(item).not_excused_in = "setup"
            raise_together(late, "errors in fixtures of the board before")
        if self.session.error is None:
            return
        if uses_board(item) or self._options.require or not self.session.may_open_its_own:
            raise self.session.error

    def _recover_for_rerun(self, item: pytest.Item) -> None:
        """Open the boards again that an earlier attempt lost, as before each test, or keep the error."""
        if self.session.error is None:
            with contained(self.session.fail):
                if self._prepared.recover_all():
                    self._hand_out(item, self.session.all_held)

    def record_result(self, item: pytest.Item) -> None:
        """Note which image each board of a test had, before its last report is made; raise nothing."""
        with contained(self.release.keeper(f"after {item.nodeid}")):
            boards = self.release.all_held
            if boards and self.session.error is None:
                describe_image(
                    item, [(self.images.flashed(one), one.board.storage.flashed) for one in boards]
                )

    def release_if_last(self, item: pytest.Item) -> None:
        """Release the board after its last test, if the controller assigned another, or if it is lost."""
        with contained(self.release.keeper(f"after {item.nodeid}")):
            if self._remaining.is_last(item.nodeid) or self._assigned.are_not(self.release.all_held):
                self.release.all()

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
        if self._fixtures and self._remaining.are_over(self.session, item, nextitem, failed):
            return [failed.error for failed in self._fixtures.end()]
        return []

    def end_lost_leases(self) -> list[BaseException]:
        """Release all boards if a lease was lost; return the errors of lost leases, for the present test."""
        losses = [one.lease_loss() for one in self.release.all_held]
        lost: list[BaseException] = [error for error in losses if error is not None]
        if lost:
            self.release.all("its lease was lost")
        return lost

    def report_lost(self) -> None:
        """Tell the controller, if it assigns boards, that this process's board cannot be used."""
        self._assigned.report_lost(self.release.all_held, self.session.error)

    def close(self) -> None:
        """End the simulated boards that were started for this process alone; forget the run's token."""
        self._restriction.lift()
        with contained(lambda error: self.show(f"hil: simulated boards did not end: {told(error)}")):
            self.of_run.close()
        self._restriction.remove_token()

    def _acquire(self, item: pytest.Item, *, may_wait: bool = True) -> None:
        """Acquire the boards that a test needs, with its image on them; first release others."""
        session, assigned = self.session, self._assigned
        requirement = requirement_of(item, self._options.board) or ANY_BOARD
        if assigned.channel is not None:
            self.of_run.search.take_shared(assigned.channel.faults(), assigned.channel.words())
        if why := self._why_release(item, requirement):
            self.release.all(why)
        self._prepared.prepare(
            kind_of(item),
            item.nodeid,
            requirement,
            assigned.serial,
            partners=assigned.partners,
            may_wait=may_wait,
        )
        self._put_image(item)
        self.release.unsafe.tell_faults(self.of_run.search.faults, assigned.channel)
        self._restrict_boards()
        if session.held is not None and session.error is None:
            self._hand_out(item, session.all_held)

    def _why_release(self, item: pytest.Item, requirement: BoardRequirement) -> str:
        """Return why the acquired board is released before a test; empty if it is not."""
        if any(one.lease_loss() is not None for one in self.session.all_held):
            return "its lease was lost"
        session, serial = self.session, self._assigned.serial
        if requirement.partners or session.partners:
            return ""  # those that will do are kept
        if not session.suits(requirement, serial):
            return "the next test wants another board"
        if session.can_replace(requirement, serial):
            return "it was lost, and another board can be used"
        return "the next test wants another image" if self.images.differ(item, session.all_held) else ""

    def _hand_out(self, item: pytest.Item, boards: Sequence[AcquiredBoard]) -> None:
        """Let a test use its boards, and note them."""
        for one in boards:
            self._restriction.restrict(one.host.dev)
            one.test = item.nodeid
            one.board.access.raise_if_blocked = partial(self._fixtures.block.check, "a board of this run")
        names = [self._name_of(item, one) for one in boards]
        describe_board(item, boards[0], names[0])
        describe_partners(item, dict(zip(self.session.requirement.roles, boards, strict=True)), names)

    def _name_of(self, item: pytest.Item, held: AcquiredBoard) -> str:
        """Return the name under which people know a test's board, or an empty string."""
        column, serial = column_of(item), held.board.serial
        if column is not None and column.each == "board" and column.group != serial:
            return column.group
        keeps = any(self._config.getoption(name, "") for name in ("hil_history", "hil_report"))
        name = self.session.infos.name_of(held) if keeps else self._options.lab.name_of(serial)
        return name or held.listed_name

    def _put_image(self, item: pytest.Item) -> None:
        """Put the image that a test wants on its boards, or keep the error for the test to raise."""
        if self.session.error is None:
            with contained(self.session.fail_on_board):
                self.images.put(item, self.session.all_held)

    def _restrict_boards(self) -> None:
        """Keep tests from boards that this process has not acquired, no_hardware tests from all boards."""
        use_boards = self._options.boards.simulated or self._preparation is not None
        self._restriction.apply(self.of_run if use_boards else None)
