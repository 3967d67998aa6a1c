"""Finds a board that can be used, leases and opens it, and makes it safe; or a simulated one in its place.

What was learned about boards that cannot be used is kept, so that later tests need not wait for them again.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from hil.boards.acquired import AcquiredBoard
from hil.boards.misspelling import KnownWords
from hil.boards.requirements import ANY_BOARD, BoardInfo, BoardRequirement, matching_serials, split_tags
from hil.boards.run_peers import held_by_own_run
from hil.dutlink.board import open_board
from hil.dutlink.discovery import list_boards, probe
from hil.dutlink.held_boards import held_boards
from hil.dutlink.power.sequence import unlike
from hil.dutlink.timing import Deadline
from hil.errors import (
    BoardAbsentError,
    BoardBusyError,
    BoardFaultError,
    BoardLostError,
    BoardUnsafeError,
    HilError,
    StickInUseError,
    UnavailableError,
    Verdict,
)
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire_any
from hil.lab.locks.nested_lease import refuse_what_is_borrowed
from hil.lab.safe_state.action import confirm_off
from hil.lab.safe_state.policy import LEAVE
from hil.lab.safe_state.record import record_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.boards.place_info import PlaceInfo
    from hil.boards.sources import BoardSource
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.errors import UsageError
    from hil.lab.config.lab import Lab
    from hil.lab.guard.guarded_lease import GuardedLease
    from hil.lab.locks.acquire import WaitStatus
    from hil.lab.locks.lease import Lease

__all__ = ["GLANCE_S", "BoardAcquirer"]

GLANCE_S = 0.25
"""Seconds to wait for a board that was silent before: later tests must not wait for it again."""

OWN_RUN_S = 600.0
"""Seconds to wait for a board that another worker of this run holds, whatever `--hil-wait` says."""

OWN_RUN_LOOK_S = 1.0
"""Seconds between two looks at whether it is this run that holds a board."""

LISTING_S = 1.0
"""Seconds that each board gets when all are listed: one that is silent must not hold up the others."""


class BoardAcquirer:
    """Finds boards on the host that a run was asked to use.

    Args:
        hosts: Where boards may be.
        lab: The lab file.
        wait_s: How long to wait, altogether, for boards that other processes hold, in seconds.
        silence_s: How long a board may be silent before it counts as lost, in seconds.
        controller: Pid of the xdist controller that this process works for; 0 where there is none.
        tell: Shows the user a line: which holder is waited for, and what a guard did.

    Attributes:
        faults: Boards that answered and could not be used, by serial number, with what was wrong first: a
            board fault, or a stick that a program of this host uses.
        words: The names and tags that boards have told in this run.
        is_hasty: Whether to wait for no board that another process holds.
        is_shared: Whether a controller gives boards to the workers of this run.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        hosts: BoardSource,
        *,
        lab: Lab,
        wait_s: float,
        silence_s: float,
        controller: int,
        tell: Callable[[str], None],
    ) -> None:
        self._hosts = hosts
        self._controller = controller
        self._tell = tell
        self._lab = lab
        self._wait_s = wait_s
        self._silence_s = silence_s
        self._silent: set[str | None] = set()
        self._in_use: set[str] = set()
        self._untold: dict[str, HilError] = {}
        self._unread: list[HilError] = []
        self.faults: dict[str, HilError] = {}
        self.words = KnownWords()
        self.is_shared = False
        self.is_hasty = False

    def hold(
        self, test: str, requirement: BoardRequirement = ANY_BOARD, serial: str | None = None
    ) -> AcquiredBoard:
        """Hold a board of the host that the run was asked to use: the first that works among the free ones.

        Args:
            test: What it is held for.
            requirement: What kind of board.
            serial: The one that the controller of a parallel run has given to this worker.

        Raises:
            UnavailableError: There is none.
            BoardFaultError: There is one; it answers, and cannot be used.
            StickInUseError: There is one; a program of this host uses its stick.
        """
        try:
            return self._hold(test, requirement, serial)
        except BaseException:
            self._hosts.give_back()
            raise

    def open_again(self, held: AcquiredBoard) -> None:
        """Open a held board again, under the same lease, and make it safe.

        Raises:
            HilError: That failed. What used the board before is refused whatever happens.
        """
        serial = held.board.serial
        held.end_use(
            "was lost, and opened again,", "a board that comes back was reset, or its DUT was switched off"
        )
        held.board.close()
        if held.lease is not None:
            held.lease.follow_board()
        wiring = self._hosts.wiring_of(serial, self._lab) if held.lease is not None else None
        with held_boards.any_board():
            board = open_board(held.host, serial, wiring, limit_s=self._patience_s(serial))
        held.take(board)
        held.make_safe()
        held.lost = None

    def hold_fallback(self) -> AcquiredBoard:
        """Hold a simulated board of this worker's own.

        Raises:
            SimulatorError: It did not start.
        """
        host = self._hosts.fallback()
        with ExitStack() as undone:
            with held_boards.any_board():
                board = open_board(host)
            undone.callback(board.close)
            board.make_safe()
            undone.pop_all()
        return AcquiredBoard(board, None, host, simulated=True)

    def _hold(self, test: str, requirement: BoardRequirement, serial: str | None) -> AcquiredBoard:
        host = self._hosts.chosen(serial, requirement)
        serials = [serial] if serial else self._find(host, requirement)
        faulty = [one for one in serials if one in self.faults]
        errors: list[HilError] = []
        for those in ([one for one in serials if one not in faulty], faulty):
            while those:
                held = self._hold_one(host, those, test, errors)
                if held is not None:
                    return held
        raise next((error for error in errors if not isinstance(error, UnavailableError)), errors[-1])

    def _hold_one(
        self, host: Host, serials: list[str], test: str, errors: list[HilError]
    ) -> AcquiredBoard | None:
        """Hold the first of these boards that is free, if it can be used.

        Args:
            host: Where the boards are.
            serials: The boards; loses those that cannot be used.
            test: What one is held for.
            errors: Gets the error of each board that cannot be used.
        """
        try:
            lease = self._lease(host, serials, test)
        except BoardBusyError as error:  # a guard may hold a faulty board, still trying to make it safe
            errors.append(self._fault_again(serials) or error)
            serials.clear()
            return None
        try:
            guarded = self._guard(lease)
            return self._open(host, guarded, test)
        except StickInUseError as error:
            serials.remove(lease.serial)
            self.faults.setdefault(lease.serial, error)
            errors.append(error)
            return None
        except (UnavailableError, BoardFaultError) as error:
            serials.remove(lease.serial)
            errors.append(self._weigh(host, lease.serial, error))
            return None

    def _fault_again(self, serials: list[str]) -> BoardUnsafeError | None:
        """Return the fault of boards that are known to be faulty, in few words; None if they are not."""
        for serial in serials:
            if serial in self.faults:
                return BoardUnsafeError(
                    f"board {serial} is faulty",
                    why=self.faults[serial].what,
                    remedy="the run's summary says what to do, once for all tests",
                    serial=serial,
                )
        return None

    def _weigh(self, host: Host, serial: str, error: UnavailableError | BoardFaultError) -> HilError:
        """Return what is wrong with a board: a fault only if the board answers now, else it is lost."""
        if isinstance(error, BoardFaultError):
            seen = probe(host, serial, self._patience_s(serial))
            if seen.error is None or seen.verdict is Verdict.FAULTY:
                self.faults.setdefault(serial, error)
                return error
            error = (
                seen.error if isinstance(seen.error, UnavailableError) else BoardLostError(seen.error.what)
            )
        if isinstance(error, BoardLostError):
            self._silent.add(serial)
        return error

    def infos(self, *, with_words: bool) -> list[BoardInfo]:
        """Return the boards that can be used now.

        Args:
            with_words: Ask them for their names and tags too; without, these are empty.
        """
        host = self._hosts.chosen()
        seen = list_boards(host, min(LISTING_S, self._silence_s))
        serials = [s.serial for s in seen if s.verdict is Verdict.PRESENT and s.serial]
        if not with_words:
            return [BoardInfo(serial) for serial in serials]
        read = {serial: self._read_info(host, serial) for serial in serials}
        told = [info for info in read.values() if isinstance(info, BoardInfo)]
        self._untold = {serial: error for serial, error in read.items() if isinstance(error, HilError)}
        self._unread = [result.error for result in seen if result.error is not None]
        self.words = self.words.and_now(KnownWords.of(told, certain=len(told) == len(seen)))
        lab = self._lab
        silent = [BoardInfo(one, lab.name_of(one), lab.tags_of(one)) for one in self._untold]
        return sorted([*told, *silent], key=lambda info: serials.index(info.serial))

    def mistake(self, requirement: BoardRequirement) -> UsageError | None:
        """Return what is misspelt in a requirement, by what boards and lab file say, or None if nothing is.

        Boards of a Jumpstarter lab are asked for by its own words.
        """
        return (
            None
            if self._hosts.is_remote
            else (self.words | KnownWords.of_lab(self._lab)).mistake(requirement)
        )

    def info_of(self, board: Board) -> BoardInfo:
        """Return a board's name and tags: those in its settings, and what the lab file says."""
        settings = board.settings.read()
        far = self._hosts.info_of(board.serial)
        name = self._lab.name_of(board.serial) or far.name or settings.name
        tags = self._lab.tags_of(board.serial).union(split_tags(settings.tags), far.tags)
        return BoardInfo(board.serial, name, tags)

    def _find(self, host: Host, requirement: BoardRequirement) -> list[str]:
        """Return the serial numbers of boards that might be used and that the requirement fits."""
        try:
            serials = self._find_all(host)
        except BoardAbsentError as error:
            mistake = self.mistake(requirement)
            raise (mistake or error) from None
        if requirement.is_any:
            return serials
        infos = self.infos(with_words=True)  # a later look: a board may have come, or answer again
        fitting = matching_serials(requirement, infos)
        if not fitting:
            mistake = self.mistake(requirement)
            if mistake is not None:
                raise mistake
            self._refuse_to_guess(host)
            there = ", ".join(map(str, infos))
            there_is = f"there is {there}" if there else "none of its boards says its name and tags now"
            raise BoardAbsentError(
                f"no board {requirement} is on {host.label}",
                why="; ".join(filter(None, (self._lab.missing(requirement.board), there_is))),
                remedy="give a board that name or those tags, or change what the test asks for",
            )
        return sorted(fitting, key=[*serials, *sorted(fitting)].index)

    def _refuse_to_guess(self, host: Host) -> None:
        """Raise why a board on the bus did not tell its name and tags: it may be the one that is wanted.

        Raises:
            BoardFaultError: It answered, and refused.
            UnavailableError: It cannot be used.
        """
        errors = list(self._unread)
        for serial, error in self._untold.items():
            if isinstance(error, UnavailableError | BoardFaultError):
                errors.append(self._weigh(host, serial, error))
        faults = (error for error in errors if isinstance(error, BoardFaultError))
        if errors:
            raise next(faults, errors[0])

    def _find_all(self, host: Host) -> list[str]:
        """Return the serial numbers of boards that might be used; those that answer come first.

        A silent board may be working through a power sequence, so its serial number may still be unknown:
        then it is waited for.
        """
        seen = list_boards(host, min(LISTING_S, self._silence_s))
        useful = (Verdict.PRESENT, Verdict.LOST)
        seen = sorted(
            (s for s in seen if s.verdict in useful and s.serial), key=lambda s: useful.index(s.verdict)
        )
        if seen:
            return [result.serial for result in seen if result.serial]
        result = probe(host, None, self._patience_s(None))
        if result.error is not None or result.serial is None:
            if result.verdict is Verdict.LOST:
                self._silent.add(None)
            raise result.error or BoardLostError(
                "a board answered without a serial number", remedy="replug it"
            )
        return [result.serial]

    def _lease(self, host: Host, serials: list[str], test: str) -> Lease:
        """Wait for one of the boards; boards that were waited for in vain are not waited for again."""
        refuse_what_is_borrowed(serials)
        try:
            folder = self._hosts.lock_folder()
            vain = self._in_use.issuperset(serials) or self.faults.keys() >= set(serials)
            wait_s = 0.0 if vain or self.is_hasty else self._wait_s
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
                    before, ours = ours, self._is_ours(serials)  # it may have been given back just now
                    if patience.passed or not (before or ours):
                        raise
                    wait_s = OWN_RUN_LOOK_S
        except BoardBusyError:
            if not self.is_hasty:
                self._in_use.update(serials)
            raise

    def _is_ours(self, serials: list[str]) -> bool:
        """Return True if another worker of this run holds one of these boards, and will give it back."""
        return self.is_shared and held_by_own_run(serials, self._hosts.lock_folder(), self._controller)

    def _guard(self, lease: Lease) -> GuardedLease:
        """Put a guard beside a lease, and make the board safe if it was not left so."""
        safety = self._hosts.safety_of(lease.serial, self._lab, self._silence_s)
        known = lease.serial in self.faults
        return under_guard(lease, safety, controller=self._controller, hurry=known, spare_stick=True)

    def _patience_s(self, serial: str | None) -> float:
        """Seconds that a board may be silent; one that was silent before must not hold up later tests.

        Args:
            serial: The board; None: any.
        """
        return GLANCE_S if serial in self._silent else self._silence_s

    def _tell_waiting(self, waiting: WaitStatus) -> None:
        self._tell(f"hil: waiting for a board: {waiting}")

    def _open(self, host: Host, lease: GuardedLease, test: str) -> AcquiredBoard:
        """Open a board and make it safe; one that cannot be is left to its guard.

        The stick is not taken from a program of this host, unless the board was left behind by a run that
        died: then it was made safe before, whoever used its stick.

        Raises:
            StickInUseError: A program of this host uses the stick; nothing was done to the board.
        """
        try:
            if lease.made_safe is not None:
                self._tell(f"hil: board {lease.serial} was not safe: {lease.made_safe.why}; made safe now")
            self._hosts.note(test)
            wiring = self._hosts.wiring_of(lease.serial, self._lab)
            with held_boards.any_board():
                board = open_board(host, lease.serial, wiring, limit_s=self._patience_s(lease.serial))
        except BaseException:
            lease.release_unused()
            raise
        is_untouched = False

        def end_lease() -> None:
            (lease.release_unused if is_untouched else lease.abandon)()

        with ExitStack() as undone:
            undone.callback(self._hosts.give_back)
            undone.callback(end_lease)
            undone.callback(board.close)
            place = self._hosts.place_of(lease.serial, self._lab)
            if place.safe != LEAVE and lease.made_safe is None:
                is_untouched = True
                board.storage.check_unused()
                is_untouched = False
            held = AcquiredBoard(
                board, lease, host, place.simulated, policy=place.safe, hosts=self._hosts, watch=place.watch
            )
            if held.policy != LEAVE:
                board.make_safe()
                if not self._hosts.is_remote:  # another machine's exporter asks its meter
                    confirm_off(board)
            record_name(lease.folder, board)
            self._tell_differences(board, place)
            undone.pop_all()
        return held

    def _tell_differences(self, board: Board, place: PlaceInfo) -> None:
        """Say where the board's power sequences are not the lab file's: the run goes by the board's."""
        if not place.sequences:
            return
        stored = board.settings.read()
        for name, wanted in unlike(place.sequences, stored).items():
            self._tell(
                f"hil: board {board.serial} stores {name} = {getattr(stored, name)!r}, the lab file has "
                f"{wanted!r}: the board's counts until `hil settings apply --board {board.serial}`"
            )

    def _read_info(self, host: Host, serial: str) -> BoardInfo | HilError:
        """Ask a board for its name and tags; return why it does not tell them."""
        try:
            with held_boards.any_board(), open_board(host, serial, limit_s=LISTING_S, console=False) as board:
                return self.info_of(board)
        except HilError as error:
            return error
