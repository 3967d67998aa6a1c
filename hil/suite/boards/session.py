"""The boards that this process has acquired, or why the present test has none."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.boards.acquired_infos import AcquiredInfos
from hil.boards.requirements import ANY_BOARD
from hil.dutlink.discovery import ProbeResult, probe
from hil.errors import BoardFaultError, UnavailableError, UsageError, Verdict

if TYPE_CHECKING:
    from hil.boards.acquire_usable import BoardAcquirer
    from hil.boards.acquired import AcquiredBoard
    from hil.boards.requirements import BoardRequirement
    from hil.dutlink.board import Board
    from hil.suite.boards.run_boards import RunBoards
    from hil.suite.options import RunOptions

__all__ = ["BoardSession"]


_ANSWERS: Final = (Verdict.PRESENT, Verdict.FAULTY)


class BoardSession:
    """The acquired boards: none, one, or those of a test with partners.

    Args:
        of_run: The boards of the run.
        options: The options of the run.
        acquirer: Acquires boards.

    Attributes:
        held: The acquired board, or None.
        partners: The further boards of the present test.
        error: Why the present test has no board that it can use, or None if it has one.
        why_no_board: The same if no board could be acquired, which a probe has shown; None if something else
            failed, such as putting an image on the board.
        requirement: What the present test requires of its boards.
        infos: The names and tags of acquired boards.
        acquirer: The argument.
    """

    def __init__(self, of_run: RunBoards, options: RunOptions, acquirer: BoardAcquirer) -> None:
        self.held: AcquiredBoard | None = None
        self.partners: list[AcquiredBoard] = []
        self.error: BaseException | None = None
        self.why_no_board: BaseException | None = None
        self.requirement = ANY_BOARD
        self.infos = AcquiredInfos(of_run.search)
        self.acquirer = acquirer
        self._of_run = of_run
        self._options = options

    @property
    def all_held(self) -> list[AcquiredBoard]:
        """The acquired boards, the first board first."""
        return [] if self.held is None else [self.held, *self.partners]

    def clear_error(self) -> None:
        """Forget why the last test had no board: that says nothing of the present test."""
        self.error = self.why_no_board = None

    def fail(self, error: BaseException) -> None:
        """Keep the error of acquiring a board for the present test, which has none, to raise."""
        self.why_no_board = error
        self.fail_on_board(error)

    def fail_on_board(self, error: BaseException) -> None:
        """Keep an error for the present test, which has a board and cannot begin, to raise."""
        self.error = error
        error.__context__ = None  # an error that is raised again keeps what an earlier test was failing with

    @property
    def is_unusable(self) -> bool:
        """Whether the present test has no board because none can be used, not because of a mistake."""
        return isinstance(self.error, UnavailableError | BoardFaultError)

    @property
    def may_open_its_own(self) -> bool:
        """Whether a test that opens a board itself may run although `prepare` acquired none.

        It must not touch another run's board, nor wait for a board that is known to be lost.
        """
        looks_for_itself = (Verdict.ABSENT, Verdict.DENIED, Verdict.NO_BACKEND)
        return isinstance(self.error, UnavailableError) and self.error.verdict in looks_for_itself

    def board(self) -> Board:
        """Return the board of the present test.

        Raises:
            Exception: What kept `prepare` from acquiring one.
        """
        if self.error is not None:
            raise self.error
        if self.held is None:
            raise UsageError(
                "a board was asked for by a test that holds none",
                why="the test's marker or its fixtures do not say that it uses a board",
                remedy="mark it hardware or mixed",
            )
        return self.held.board

    def boards(self) -> dict[str | int, Board]:
        """Return the boards of the present test by role.

        Raises:
            Exception: What kept `prepare` from acquiring them.
        """
        self.board()
        return dict(zip(self.requirement.roles, (one.board for one in self.all_held), strict=True))

    def probe(self) -> ProbeResult:
        """Probe the acquired board, or any board if none is acquired; verdicts rest on this.

        Of several boards, the first that cannot be used counts. The simulated board of mixed tests is not
        probed: it proves nothing.
        """
        if self.held is not None and not self.held.is_fallback:
            results = [one.probe(self._options.silence_s) for one in self.all_held]
            return next((one for one in results if one.verdict not in _ANSWERS), results[0])
        try:
            host = self._of_run.source.host()
        except UnavailableError as error:
            return ProbeResult(error.verdict, error=error)
        return probe(host, None, self._options.silence_s)

    def is_as_opened(self) -> bool:
        """Return True if no acquired board was lost or left the bus since it was opened."""
        return all(held.is_as_opened for held in self.all_held)

    def suits(self, requirement: BoardRequirement, serial: str | None = None) -> bool:
        """Return True if the acquired board, if there is one, is the given one and meets a requirement."""
        held = self.held
        return held is None or held.is_fallback or self.infos.fits(held, requirement, serial)

    def can_replace(self, requirement: BoardRequirement, serial: str | None = None) -> bool:
        """Return True if the board is lost, even if no test noticed, and another that suits can be used.

        Args:
            requirement: Which boards will do.
            serial: The board that the controller gave to this worker: the controller gives another one, too.
        """
        held = self.held
        if held is None or held.is_fallback or serial is not None or self.is_as_opened():
            return False
        if self.probe().verdict is Verdict.PRESENT:
            return False
        with suppress(UnavailableError):
            infos = self._of_run.search.infos(with_words=requirement.has_words)
            return any(requirement.fits(info) for info in infos if info.serial != held.board.serial)
        return False

    def raise_if_still_lost(self, held: AcquiredBoard) -> None:
        """Probe a board that was lost or left the bus, and raise why it cannot be opened again.

        A faulty board answers: opening it again tells what is wrong with it.

        Raises:
            BoardLostError: It is still lost.
            UnavailableError: It is back, and cannot be opened.
        """
        if held.is_as_opened:
            return
        result = held.probe(self._options.silence_s)
        if held.lost is not None and result.verdict not in _ANSWERS:
            raise result.error or held.lost

    def give_back(self, why: str = "", which: AcquiredBoard | None = None) -> None:
        """Make a board safe and release it; release it even if making it safe fails.

        Args:
            why: The cause, for the error that later uses of the board raise.
            which: The board; None: the first.

        Raises:
            BoardLostError: The board is lost, and was left as it is.
            LeaseEndedError: Its lease was lost; its guard makes it safe.
            HilError: The board could not be made safe; its DUT may have power.
        """
        held = which or self.held
        if held is None:
            return
        try:
            self._end_use(held, why)
        except BaseException:
            held.abandon()
            raise
        else:
            held.make_safe_and_release()
        finally:
            left = [one for one in self.all_held if one is not held]
            self.held, self.partners = (left[0], left[1:]) if left else (None, [])

    def _end_use(self, held: AcquiredBoard, why: str) -> None:
        """End the use of a board, and open it again if it came back."""
        if held.lease is not None:
            held.lease.raise_if_lost()
        self.raise_if_still_lost(held)
        if held.is_as_opened:
            held.end_use("was given back", why)
        else:
            self.acquirer.reopen(held)
