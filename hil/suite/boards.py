"""One board for this worker: found, leased, opened, made safe, kept to the end; the fallback for mixed tests.

A board is prepared before a test begins, outside of its time limit, and whatever goes wrong is kept for the
test to raise. What was learned about a board that cannot be used is kept too, so that the next tests need
not wait for it again.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.board import open_board
from hil.dutlink.discovery import list_boards, look
from hil.dutlink.sighting import Sighting
from hil.errors import (
    BoardBusyError,
    BoardFaultError,
    BoardLostError,
    HilError,
    UnavailableError,
    UsageError,
    Verdict,
)
from hil.lab.lease import Lease, hold_any
from hil.suite.selection import Kind

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.suite.hosts import Hosts
    from hil.suite.options import RunOptions

__all__ = ["BoardKeeper", "Held"]

GLANCE_S = 0.25
"""Seconds that a board gets that was silent before: later tests must not wait for it again."""

LISTING_S = 1.0
"""Seconds that each board gets when all are listed: one that is silent must not hold up the others."""


@dataclass(slots=True)
class Held:
    """The board that this worker holds.

    Attributes:
        board: Open.
        lease: The right to it; None for a worker's own simulated board, which nobody else can see.
        host: Where it is plugged in.
        simulated: Whether it is a simulated one.
        lost: How it was lost, if it was.
    """

    board: Board
    lease: Lease | None
    host: Host
    simulated: bool
    lost: BoardLostError | None = None

    @property
    def is_fallback(self) -> bool:
        """Whether it stands in for a real board that could not be used."""
        return self.lease is None


class BoardKeeper:
    """Holds at most one board, from the first test that needs it to the end of the session.

    Args:
        hosts: Where boards may be.
        options: What the run was asked for.

    Attributes:
        held: The board, once there is one.
        error: Why the present test has none; None when it has one.
    """

    def __init__(self, hosts: Hosts, options: RunOptions) -> None:
        self.held: Held | None = None
        self.error: Exception | None = None
        self._hosts = hosts
        self._options = options
        self._wait_s = options.wait_s
        self._silence_s = options.silence_s

    def prepare(self, kind: Kind, test: str) -> None:
        """See to it that the test `test` has a board, or keep the error that says why not."""
        self.error = None
        try:
            self._prepare(kind, test)
        except Exception as error:  # noqa: BLE001 - raised again by the test that it belongs to
            self.error = error

    def board(self) -> Board:
        """Return the board of the present test.

        Raises:
            Exception: What kept `prepare` from getting one.
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

    @property
    def may_run_without(self) -> bool:
        """Whether a test that opens the board itself may run although `prepare` got none.

        It must not touch another run's board, nor wait for one that is known to be lost.
        """
        looks_for_itself = (Verdict.ABSENT, Verdict.DENIED, Verdict.NO_BACKEND)
        return isinstance(self.error, UnavailableError) and self.error.verdict in looks_for_itself

    def prove(self) -> Sighting:
        """Take a fresh look at the board: the proof behind every verdict.

        A board that this worker held and that is gone, or silent, is lost. The simulated one of mixed tests
        proves nothing.
        """
        held = self.held if self.held and not self.held.is_fallback else None
        try:
            host = held.host if held else self._hosts.chosen()
        except UnavailableError as error:
            return Sighting(error.verdict, error=error)
        if held is None:
            return look(host, None, self._silence_s)
        sighting = look(host, held.board.serial, GLANCE_S if held.lost else self._silence_s)
        if sighting.verdict not in {Verdict.ABSENT, Verdict.LOST}:
            return sighting
        held.lost = _lost(held.board.serial, sighting)
        return Sighting(Verdict.LOST, held.board.serial, held.board.firmware, held.lost)

    def release(self) -> None:
        """Make the board safe and give it back, whatever fails on the way.

        Raises:
            BoardLostError: It is lost, and was left as it is.
            HilError: It could not be made safe; its DUT may have power.
        """
        held = self.held
        if held is None:
            return
        with ExitStack() as ending:
            ending.callback(setattr, self, "held", None)
            if held.lease is not None:
                ending.callback(held.lease.release)
            ending.callback(held.board.close)
            if held.lost is not None and self.prove().verdict is not Verdict.PRESENT:
                raise held.lost
            held.board.make_safe()

    def _prepare(self, kind: Kind, test: str) -> None:
        if self.held is None:
            self._acquire(kind, test)
        elif self.held.is_fallback and kind is Kind.HARDWARE:
            self._refuse_a_second_board(test)
        elif self.held.lost is not None:
            self._recover(self.held)
        else:
            self._pass_on(self.held, test)

    def _acquire(self, kind: Kind, test: str) -> None:
        try:
            self.held = self._hold(test)
        except UnavailableError:
            if kind is Kind.HARDWARE or self._options.require:
                raise
            self.held = self._hold_fallback()

    def _hold(self, test: str) -> Held:
        """Hold a board of the host that the run was asked to use: the first that works among the free ones.

        Raises:
            UnavailableError: There is none.
        """
        host = self._hosts.chosen()
        serials = self._find(host)
        while True:
            lease = self._lease(serials, test)
            try:
                return self._open(host, lease)
            except (UnavailableError, BoardFaultError) as error:
                lease.release()
                self._silence_s = GLANCE_S if isinstance(error, BoardLostError) else self._silence_s
                serials.remove(lease.serial)
                if not serials:
                    raise
            except BaseException:
                lease.release()
                raise

    def _find(self, host: Host) -> list[str]:
        """Return the serial numbers of boards that might be used; those that answer come first.

        One that is silent may be working through somebody's power sequence, so its serial number may
        still be unknown: then it is waited for.
        """
        seen = list_boards(host, min(LISTING_S, self._silence_s))
        useful = (Verdict.PRESENT, Verdict.LOST)
        seen = sorted(
            (s for s in seen if s.verdict in useful and s.serial), key=lambda s: useful.index(s.verdict)
        )
        if seen:
            return [sighting.serial for sighting in seen if sighting.serial]
        sighting = look(host, None, self._silence_s)
        if sighting.error is not None or sighting.serial is None:
            self._silence_s = GLANCE_S if sighting.verdict is Verdict.LOST else self._silence_s
            raise sighting.error or BoardLostError(
                "a board answered without a serial number", remedy="replug it"
            )
        return [sighting.serial]

    def _lease(self, serials: list[str], test: str) -> Lease:
        """Wait for one of the boards; what was waited in vain is not waited again by later tests."""
        try:
            return hold_any(serials, wait_s=self._wait_s, test=test)
        except BoardBusyError:
            self._wait_s = 0.0
            raise

    def _open(self, host: Host, lease: Lease) -> Held:
        board = open_board(host, lease.serial, limit_s=self._silence_s)
        try:
            board.make_safe()
        except BaseException:
            board.close()
            raise
        return Held(board, lease, host, self._options.boards.simulated)

    def _hold_fallback(self) -> Held:
        host = self._hosts.fallback()
        board = open_board(host)
        board.make_safe()
        return Held(board, None, host, simulated=True)

    def _refuse_a_second_board(self, test: str) -> None:
        """Session fixtures already hold the simulated board, so a hardware test cannot have a real one now.

        Raises:
            UnavailableError: There is no real one anyway.
            UsageError: There is: this must not be skipped over.
        """
        real = self._hold(test)
        serial = real.board.serial
        real.board.close()
        if real.lease is not None:
            real.lease.release()
        raise UsageError(
            f"board {serial} can be used now, but mixed tests of this worker already use a simulated one",
            why="it was absent or busy when the first of them began, and fixtures last for a session",
            remedy="run again; with boards that others use, give a longer --hil-wait",
            serial=serial,
        )

    def _recover(self, held: Held) -> None:
        """Use a lost board again if it answers at once.

        Raises:
            BoardLostError: It does not.
        """
        lost = held.lost
        sighting = self.prove()
        if lost is not None and sighting.verdict is not Verdict.PRESENT:
            raise held.lost or lost
        try:
            held.board.make_safe()
        except HilError as error:
            raise BoardLostError(
                f"board {held.board.serial} was lost earlier in this run",
                why=f"it is back, but not as the board that was opened ({error.what})",
                remedy="run again",
                serial=held.board.serial,
            ) from error
        held.lost = None

    @staticmethod
    def _pass_on(held: Held, test: str) -> None:
        """Give the board to the next test: its name into the lease, and nothing of the last one's console."""
        if held.lease is not None:
            held.lease.note(test)
        if held.board.console.is_open:
            with suppress(HilError):  # a console that went away says so when it is used
                held.board.console.discard()


def _lost(serial: str, sighting: Sighting) -> BoardLostError:
    error = sighting.error
    return BoardLostError(
        f"board {serial} was there when the test began",
        why=f"now {error.what}" + (f" ({error.why})" if error.why else "") if error else "now it is gone",
        remedy=error.remedy if error and error.remedy else "look at cable, hub and supply, then run again",
        serial=serial,
    )
