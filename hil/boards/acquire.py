"""Acquire a board: lease it, put a guard beside the lease, open the board and make it safe."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hil.boards.acquired import AcquiredBoard
from hil.boards.requirements import ANY_BOARD
from hil.boards.run_peers import held_by_own_run
from hil.dutlink.board import open_board
from hil.dutlink.held_boards import held_boards
from hil.dutlink.settings import differing_sequences
from hil.dutlink.timing import Deadline
from hil.errors import (
    BoardBusyError,
    BoardFaultError,
    BoardUnsafeError,
    StickInUseError,
    UnavailableError,
)
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire_any
from hil.lab.locks.nested_lease import refuse_borrowed
from hil.lab.safe_state.action import confirm_off
from hil.lab.safe_state.policy import LEAVE
from hil.lab.safe_state.record import record_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.boards.place_info import PlaceInfo
    from hil.boards.requirements import BoardRequirement
    from hil.boards.search import BoardSearch
    from hil.boards.sources import BoardSource
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.errors import HilError
    from hil.lab.guard.guarded_lease import GuardedLease
    from hil.lab.locks.acquire import WaitStatus
    from hil.lab.locks.lease import Lease

__all__ = ["BoardAcquirer", "acquire_simulated"]

OWN_RUN_S = 600.0
"""How long to wait for a board that another worker of this run holds, in seconds, beside `wait_s`."""

OWN_RUN_LOOK_S = 1.0
"""Seconds between two checks whether a worker of this run still holds the board."""


class BoardAcquirer:
    """Acquires boards of a source; `acquire` is the way, `reopen` is for a board that came back.

    Args:
        source: Where the boards are.
        search: Finds those that can be used; keeps what is wrong with the others.
        wait_s: How long to wait for boards that other processes hold, in seconds.
        silence_s: How long a board may be silent before it counts as lost, in seconds.
        controller: Pid of the xdist controller that this process works for; 0 if there is none.
        tell: Shows the user a line: which holder is waited for, and what a guard did.

    Attributes:
        may_wait: Whether to wait for boards that other processes hold.
        is_shared: Whether a controller gives boards to the workers of this run.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        source: BoardSource,
        search: BoardSearch,
        *,
        wait_s: float,
        silence_s: float,
        controller: int,
        tell: Callable[[str], None],
    ) -> None:
        self.is_shared = False
        self.may_wait = True
        self._source = source
        self._search = search
        self._wait_s = wait_s
        self._silence_s = silence_s
        self._controller = controller
        self._tell = tell
        self._in_use: set[str] = set()

    def acquire(
        self, test: str, requirement: BoardRequirement = ANY_BOARD, serial: str | None = None
    ) -> AcquiredBoard:
        """Acquire the first free board that works.

        Args:
            test: The test that the board is for; other processes can read it.
            requirement: Which boards will do.
            serial: The board that the controller gave to this worker, or None.

        Raises:
            UnavailableError: No board can be used.
            BoardFaultError: A board answers, and cannot be used.
            StickInUseError: A program of this host uses the stick of the board.
        """
        try:
            return self._acquire(test, requirement, serial)
        except BaseException:
            self._source.give_back()
            raise

    def reopen(self, acquired: AcquiredBoard) -> None:
        """Open a board that came back, under the same lease, and make it safe.

        Raises:
            HilError: That failed. Every object that used the board before is refused all the same.
        """
        serial = acquired.board.serial
        acquired.end_use(
            "was lost, and opened again,", "a board that comes back was reset, or its DUT was switched off"
        )
        acquired.board.close()
        if acquired.lease is not None:
            acquired.lease.follow_board()
        wiring = self._source.wiring_of(serial) if acquired.lease is not None else None
        with held_boards.any_board():
            board = open_board(acquired.host, serial, wiring, limit_s=self._search.patience_s(serial))
        acquired.take(board)
        acquired.make_safe()
        acquired.lost = None

    def _acquire(self, test: str, requirement: BoardRequirement, serial: str | None) -> AcquiredBoard:
        host = self._source.host(serial, requirement)
        serials = [serial] if serial else self._search.find(host, requirement)
        faulty = [one for one in serials if one in self._search.faults]
        errors: list[HilError] = []
        for those in ([one for one in serials if one not in faulty], faulty):
            while those:
                acquired = self._acquire_first(host, those, test, errors)
                if acquired is not None:
                    return acquired
        raise next((error for error in errors if not isinstance(error, UnavailableError)), errors[-1])

    def _acquire_first(
        self, host: Host, serials: list[str], test: str, errors: list[HilError]
    ) -> AcquiredBoard | None:
        """Acquire the first of these boards that is free, or return None if it cannot be used.

        Args:
            host: The host of the boards.
            serials: The boards; those that cannot be used are removed.
            test: The test that the board is for.
            errors: The error of each board that cannot be used is added.
        """
        try:
            lease = self._lease(host, serials, test)
        except BoardBusyError as error:  # a guard may hold a faulty board, still trying to make it safe
            errors.append(self._known_fault(serials) or error)
            serials.clear()
            return None
        try:
            return self._open(host, self._guard(lease), test)
        except StickInUseError as error:
            serials.remove(lease.serial)
            self._search.faults.setdefault(lease.serial, error)
            errors.append(error)
            return None
        except (UnavailableError, BoardFaultError) as error:
            serials.remove(lease.serial)
            errors.append(self._search.diagnose(host, lease.serial, error))
            return None

    def _known_fault(self, serials: list[str]) -> BoardUnsafeError | None:
        """Return the fault of the first of these boards that is known to be faulty, in few words, or None."""
        faults = self._search.faults
        for serial in serials:
            if serial in faults:
                return BoardUnsafeError(
                    f"board {serial} is faulty",
                    why=faults[serial].what,
                    remedy="the run's summary says what to do, once for all tests",
                    serial=serial,
                )
        return None

    def _lease(self, host: Host, serials: list[str], test: str) -> Lease:
        """Wait for the lease of one of the boards; do not wait twice for boards that stayed in use."""
        refuse_borrowed(serials)
        try:
            folder = self._source.lock_folder()
            vain = self._in_use.issuperset(serials) or self._search.faults.keys() >= set(serials)
            wait_s = 0.0 if vain or not self.may_wait else self._wait_s
            patience, ours = Deadline(OWN_RUN_S), self._is_ours(serials)
            while True:
                try:
                    return acquire_any(
                        serials,
                        wait_s=wait_s,
                        test=test,
                        on_wait=self._tell_waiting,
                        folder=folder,
                        host=None if folder else host,
                    )
                except BoardBusyError:
                    before, ours = ours, self._is_ours(serials)  # it may have been released just now
                    if patience.passed or not (before or ours):
                        raise
                    wait_s = OWN_RUN_LOOK_S
        except BoardBusyError:
            if self.may_wait:
                self._in_use.update(serials)
            raise

    def _is_ours(self, serials: list[str]) -> bool:
        """Return True if another worker of this run holds one of these boards: it will release the board."""
        return self.is_shared and held_by_own_run(serials, self._source.lock_folder(), self._controller)

    def _guard(self, lease: Lease) -> GuardedLease:
        """Put a guard beside a lease, and make the board safe if its last holder did not leave it safe."""
        safety = self._source.safety_of(lease.serial, self._silence_s)
        known = lease.serial in self._search.faults
        return under_guard(lease, safety, controller=self._controller, once=known, spare_stick=True)

    def _tell_waiting(self, waiting: WaitStatus) -> None:
        self._tell(f"hil: waiting for a board: {waiting}")

    def _open(self, host: Host, lease: GuardedLease, test: str) -> AcquiredBoard:
        """Open a board and make it safe; leave a board that cannot be made safe to its guard.

        The stick is not taken from a program of this host. Exception: if the last holder died without making
        the board safe, the board was made safe when it was leased, and the stick taken.

        Raises:
            StickInUseError: A program of this host uses the stick; nothing was done to the board.
        """
        serial = lease.serial
        try:
            if lease.made_safe is not None:
                self._tell(f"hil: board {serial} was not safe: {lease.made_safe.why}; made safe now")
            self._source.note(test)
            wiring = self._source.wiring_of(serial)
            with held_boards.any_board():
                board = open_board(host, serial, wiring, limit_s=self._search.patience_s(serial))
        except BaseException:
            lease.release_unused()
            raise
        is_untouched = False

        def end_lease() -> None:
            (lease.release_unused if is_untouched else lease.abandon)()

        with ExitStack() as undone:
            undone.callback(self._source.give_back)
            undone.callback(end_lease)
            undone.callback(board.close)
            place = self._source.place_of(serial)
            if place.safe != LEAVE and lease.made_safe is None:
                is_untouched = True
                board.storage.check_unused()
                is_untouched = False
            acquired = AcquiredBoard(
                board,
                lease,
                host,
                place.simulated,
                policy=place.safe,
                source=self._source,
                watch=place.watch,
            )
            if acquired.policy != LEAVE:
                board.make_safe()
                if not self._source.is_remote:  # the exporter reads the meter of a remote board
                    confirm_off(board)
            record_name(lease.folder, board)
            self._tell_differences(board, place)
            undone.pop_all()
        return acquired

    def _tell_differences(self, board: Board, place: PlaceInfo) -> None:
        """Tell which power sequences of the board differ from the lab file; the run uses the board's."""
        if not place.sequences:
            return
        stored = board.settings.read()
        for name, wanted in differing_sequences(place.sequences, stored).items():
            self._tell(
                f"hil: board {board.serial} stores {name} = {getattr(stored, name)!r}, the lab file has "
                f"{wanted!r}: the board's counts until `hil settings apply --board {board.serial}`"
            )


def acquire_simulated(source: BoardSource) -> AcquiredBoard:
    """Acquire the board of a simulator that only this process knows: it needs no lease and no guard.

    Raises:
        SimulatorError: The simulator did not start.
    """
    host = source.host()
    with ExitStack() as undone:
        with held_boards.any_board():
            board = open_board(host)
        undone.callback(board.close)
        board.make_safe()
        undone.pop_all()
    return AcquiredBoard(board, None, host, simulated=True)
