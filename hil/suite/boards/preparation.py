"""Acquire the boards of the next test, or keep those of the last test that will do.

This happens before the test begins, outside of its time limit. An error is kept for the test to raise.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hil.boards.acquire_usable import BoardAcquirer
from hil.boards.lease_and_open import acquire_simulated
from hil.boards.lent_token import borrowed_token
from hil.boards.partners import acquire_partners
from hil.boards.requirements import ANY_BOARD
from hil.dutlink.usb.device_node import serials_by_address
from hil.errors import UnavailableError, UsageError
from hil.lab.locks.lending import LEASED, refuse_other_boards
from hil.suite.boards.session import BoardSession
from hil.suite.hook_errors import contained
from hil.suite.markers import Kind
from hil.suite.original_code import raise_if_replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hil.boards.acquired import AcquiredBoard
    from hil.boards.requirements import BoardRequirement
    from hil.suite.boards.run_boards import RunBoards
    from hil.suite.options import RunOptions

__all__ = ["BoardPreparation"]


class BoardPreparation:
    """Acquires boards for the tests of a process.

    Args:
        of_run: The boards of the run.
        options: The options of the run.
        controller: Pid of the xdist controller that this process works for; 0 if there is none.
        is_shared: Whether the controller assigns boards to its workers.
        tell: Shows the user a line.
        before_reopening: Ends the fixtures that depend on a board that came back, before it is opened again.
        release_other: Releases a board that the next test does not use; raises nothing.

    Attributes:
        session: The acquired boards.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        of_run: RunBoards,
        options: RunOptions,
        *,
        controller: int = 0,
        is_shared: bool = False,
        tell: Callable[[str], None] = lambda _line: None,
        before_reopening: Callable[[], None] = lambda: None,
        release_other: Callable[[AcquiredBoard], None] = lambda _board: None,
    ) -> None:
        self._of_run = of_run
        self._require = options.require
        self._before_reopening = before_reopening
        self._release_other = release_other
        acquirer = BoardAcquirer(
            source=of_run.source,
            search=of_run.search,
            wait_s=options.wait_s,
            silence_s=options.silence_s,
            controller=controller,
            is_shared=is_shared,
            tell=tell,
        )
        self.session = BoardSession(of_run, options, acquirer)

    def prepare(  # noqa: PLR0913 - by keyword
        self,
        kind: Kind,
        test: str,
        requirement: BoardRequirement = ANY_BOARD,
        serial: str | None = None,
        *,
        partners: Sequence[str] = (),
        may_wait: bool = True,
    ) -> None:
        """Acquire a board for a test, or keep the error that says why there is none.

        Args:
            kind: Whether a simulated board may stand in.
            test: The node id of the test.
            requirement: Which boards will do.
            serial: The board that the controller assigned to the test, or None.
            partners: The further boards that it assigned to the test.
            may_wait: Whether to wait for boards that other processes hold.
        """
        session = self.session
        session.clear_error()
        session.requirement = requirement
        session.acquirer.may_wait = may_wait
        with contained(session.fail), _refusing_replaced_code():
            self._refuse_lease_of_parent()
            if requirement.partners:
                self._acquire_partners(test, requirement, [serial, *partners] if serial else [])
            elif (held := self._keep_one(requirement, serial)) is not None:
                self._pass_on(held, kind, test)
            else:
                try:
                    session.held = session.acquirer.acquire(test, requirement, serial)
                except UnavailableError:
                    if kind is Kind.HARDWARE or self._require:
                        raise
                    raise_if_replaced()
                    session.held = acquire_simulated(self._of_run.fallback)

    def _refuse_lease_of_parent(self) -> None:
        """Refuse to run beside a board of the same host that the parent of this process has leased.

        Raises:
            UsageError: Programs that tests start might use the other board.
        """
        token, source = borrowed_token(), self._of_run.source
        if token and not source.is_remote:
            with suppress(UnavailableError):
                boards = serials_by_address(source.host()).values()
                refuse_other_boards(set(boards), {LEASED: token})

    def _acquire_partners(self, test: str, requirement: BoardRequirement, given: Sequence[str]) -> None:
        """Acquire the boards of a test with partners; keep those of the last test that will do."""
        if requirement.board:
            raise UsageError(
                f"{test} uses {len(requirement.needs)} boards at once",
                why=f"--hil-board {requirement.board} lets this run use one board only",
                remedy="run without --hil-board, or deselect the test",
            )
        session = self.session
        session.held, *session.partners = acquire_partners(
            session.acquirer,
            test,
            requirement.needs,
            given,
            held=session.all_held,
            release=self._release_other,
        )

    def _keep_one(self, requirement: BoardRequirement, serial: str | None) -> AcquiredBoard | None:
        """Keep the only board, or one of several for a test without partners; release the others.

        Whether the only board will do was seen before, by `BoardLifecycle`, which released it if it does not.
        Of boards of a Jumpstarter lab only the first can stay: the source knows no other.
        """
        session = self.session
        if session.partners:
            able = session.all_held[:1] if self._of_run.source.is_remote else session.all_held
            fits = session.infos.fits
            kept = next((one for one in able if one.can_be_kept and fits(one, requirement, serial)), None)
            for held in session.all_held:
                if held is not kept:
                    self._release_other(held)
        return session.held

    def _pass_on(self, held: AcquiredBoard, kind: Kind, test: str) -> None:
        """Give the acquired board to the next test; open it again if it came back.

        Raises:
            GuardError: Its guard has died.
            HilError: It was lost, or another board should be used.
        """
        if held.is_fallback and kind is Kind.HARDWARE:
            self._refuse_a_second_board(test)
        elif held.lease is not None and held.lease.guard_error is not None:
            raise held.lease.guard_error
        elif not held.is_as_opened:
            self._recover(held)
            held.note(test)
        else:
            held.pass_on(test)

    def _refuse_a_second_board(self, test: str) -> None:
        """Refuse a real board to a hardware test while session fixtures use the simulated board.

        Raises:
            UnavailableError: There is no real board anyway.
            UsageError: There is a real board: the test must not be skipped.
        """
        real = self.session.acquirer.acquire(test)
        serial = real.board.serial
        real.make_safe_and_release()
        raise UsageError(
            f"board {serial} can be used now, but mixed tests of this worker already use a simulated one",
            why="it was absent or busy when the first of them began, and fixtures last for a session",
            remedy="run again; with boards that others use, give a longer --hil-wait",
            serial=serial,
        )

    def recover_all(self) -> bool:
        """Open the acquired boards again that were lost or left the bus; return True if there were any.

        Raises:
            BoardLostError: A board does not answer.
        """
        gone = [held for held in self.session.all_held if not held.is_fallback and not held.is_as_opened]
        for held in gone:
            self._recover(held)
        return bool(gone)

    def _recover(self, held: AcquiredBoard) -> None:
        """Open a board again that was lost or left the bus, if it answers at once.

        Raises:
            UnavailableError: The board does not answer, or cannot be opened.
            BoardFaultError: It answers, and cannot be used.
        """
        self.session.raise_if_still_lost(held)
        self._before_reopening()
        self.session.acquirer.reopen(held)


@contextmanager
def _refusing_replaced_code() -> Iterator[None]:
    """Replace an error that would skip a test if the code that found it is not the original."""
    try:
        yield
    except UnavailableError:
        raise_if_replaced()
        raise
