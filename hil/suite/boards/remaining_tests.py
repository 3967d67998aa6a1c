"""Which tests of this process still need the board: it is released after the last of them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hil.boards.requirements import ANY_BOARD
from hil.suite.markers import Kind, gets_a_board, kind_of, requirement_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from hil.suite.boards.assigned_boards import AssignedBoards
    from hil.suite.boards.run_boards import RunBoards
    from hil.suite.boards.session import BoardSession
    from hil.suite.images.run_images import RunImages
    from hil.suite.options import RunOptions
    from hil.suite.outcome.time_limit import TimeLimit

__all__ = ["RemainingTests"]


class RemainingTests:
    """The tests of a process that runs all of them; an xdist worker learns its tests one by one.

    Args:
        options: The options of the run.
        of_run: The boards of the run.
        assigned: The boards that the controller assigned.
        images: The images of the run.
        limit: The time limit of the present test, which waits while its board is probed.
        is_worker: Whether this is an xdist worker.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        options: RunOptions,
        of_run: RunBoards,
        assigned: AssignedBoards,
        images: RunImages,
        limit: TimeLimit,
        *,
        is_worker: bool,
    ) -> None:
        self._options = options
        self._of_run = of_run
        self._assigned = assigned
        self._images = images
        self._limit = limit
        self._is_worker = is_worker
        self._last = ""
        self._following: dict[str, pytest.Item] = {}

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Note the tests, in their order."""
        if self._is_worker:
            return
        following: pytest.Item | None = None
        for item in reversed(items):
            if following is not None:
                self._following[item.nodeid] = following
            if gets_a_board(item):
                following = item
                self._last = self._last or item.nodeid

    def is_last(self, nodeid: str) -> bool:
        """Return True if no later test of this process needs the board."""
        if self._assigned.channel is None:
            return nodeid == self._last
        return self._of_run.is_extra or self._assigned.is_last(nodeid)

    def are_over(
        self,
        session: BoardSession,
        item: pytest.Item,
        nextitem: pytest.Item | None,
        failed: Sequence[BaseException],
    ) -> bool:
        """Return True if no later test uses the acquired board as it was opened.

        Args:
            session: The acquired boards.
            item: The test that is torn down.
            nextitem: The next test of this process, or None.
            failed: The errors of the tear-down so far.
        """
        if session.held is None or nextitem is None or self.is_last(item.nodeid):
            return True
        self._probe_if_lost(session, item, failed)
        if not session.is_as_opened() or self._assigned.are_not(session.all_held):
            return True
        # None: no later test gets a board, or a worker does not know its later tests. Then the fixtures stay;
        # they end before the board is released.
        following = self._next_with_board(item, nextitem)
        return following is not None and not self._will_do_for(session, following)

    def _next_with_board(self, item: pytest.Item, nextitem: pytest.Item) -> pytest.Item | None:
        """Return the next test for which a board is acquired; None if there is none, or it is unknown."""
        if self._is_worker:
            return nextitem if gets_a_board(nextitem) else None
        return self._following.get(item.nodeid)

    def _probe_if_lost(
        self, session: BoardSession, item: pytest.Item, failed: Sequence[BaseException]
    ) -> None:
        """Look whether the board is lost, if a lost board would explain the errors of a tear-down."""
        from hil.suite.outcome.verdicts import may_be_hardware_error  # noqa: PLC0415 - for errors of tests that use boards

        if kind_of(item) is not Kind.NO_HARDWARE and any(map(may_be_hardware_error, failed)):
            # a probe that fails proves nothing
            with self._limit.stopped_then_reset(), suppress(Exception):
                session.probe()

    def _will_do_for(self, session: BoardSession, item: pytest.Item) -> bool:
        """Return True if the acquired board suits a later test.

        The board is queried only if the requirement differs or the controller assigned a board to the test.
        """
        if self._images.differ(item, session.all_held):
            return False
        present = session.requirement
        requirement = requirement_of(item, self._options.board) or ANY_BOARD
        serial, partners = self._assigned.of(item.nodeid)
        if requirement == present and serial is None:
            return True
        if requirement.partners or requirement.roles != present.roles:
            now = (present, self._assigned.serial, self._assigned.partners)
            return (requirement, serial, partners) == now
        return session.suits(requirement, serial)
