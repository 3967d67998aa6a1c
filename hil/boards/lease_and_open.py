"""Acquire a board for a test run, a command or an exporter: lease it, start its guard, open it, make it safe.

Commands like `hil power on` do without: they leave the board as the user asked, so they have no guard.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.boards.acquired import AcquiredBoard
from hil.boards.lent_token import borrowed_token
from hil.dutlink.board import make_board_safe, open_driver
from hil.dutlink.discovery import ANSWER_LIMIT_S
from hil.dutlink.held_boards import held_boards
from hil.dutlink.settings import differing_sequences
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire_all
from hil.lab.locks.lending import LEASED, refuse_borrowed
from hil.lab.safe_state.action import apply_policy, confirm_off
from hil.lab.safe_state.policy import LEAVE
from hil.lab.safe_state.record import record_name

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from hil.boards.board_source import BoardSource
    from hil.boards.place_info import PlaceInfo
    from hil.dutlink.board import Board
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["Terms", "acquire_simulated", "lease_boards", "open_leased", "reopen"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How a holder acquires a board.

    Attributes:
        use: What the board is used for; other users can read it.
        tell: Shows the user a line: which holder is waited for, and what a guard did.
        wait_s: How long to wait for a board that other processes hold, in seconds.
        wait_option: The option with which the user sets `wait_s`, for the error.
        waits_on: Called when that time has passed, and each second from then on: whether to wait on.
        silence_s: How long a board may be silent before it counts as lost, in seconds.
        patience_s: The same at first, if a user waits; its guard is as patient as `silence_s` says.
        controller: Pid of the xdist controller that this process works for; 0 if there is none.
        faulty: Boards for which one short attempt to make them safe is enough.
        drivers: See `under_guard`.
        force: Take the stick away from a program of this host that uses it.
        console: Open the console too, so that none of the DUT's output is missed.
        measures: Hand the board out only if its meter shows that the DUT is off.
        on_open: Called with the board each time it was opened.
    """

    use: str
    tell: Callable[[str], None]
    wait_s: float
    wait_option: str = "--hil-wait"
    waits_on: Callable[[], bool] = lambda: False
    silence_s: float = ANSWER_LIMIT_S
    patience_s: float = math.inf
    controller: int = 0
    faulty: Container[str] = ()
    drivers: int = -1
    force: bool = False
    console: bool = True
    measures: bool = False
    on_open: Callable[[AcquiredBoard], None] = lambda _board: None

    @property
    def first_silence_s(self) -> float:
        """How long a board may be silent when it is opened, in seconds."""
        return min(self.silence_s, self.patience_s)


def lease_boards(source: BoardSource, choices: Sequence[Sequence[str]], terms: Terms) -> list[GuardedLease]:
    """Lease a board for each choice, all at once or none; start their guards; make safe what was not left so.

    Args:
        source: Where the boards are.
        choices: For each board that is needed, the boards that would do, the preferred one first.
        terms: How long to wait, and what the guards get.

    Raises:
        BoardBusyError: The boards stayed in use.
        BoardLostError, BoardUnsafeError: A board was not left safe, and cannot be made safe now.
        GuardError: No guard can run; nothing was done to the boards.
        UsageError: The lock folder, or a file in it, cannot be used.
    """
    for serials in choices:
        refuse_borrowed(serials, {LEASED: borrowed_token()})
    folder = source.lock_folder()
    leases = acquire_all(
        choices,
        wait_s=terms.wait_s,
        waits_on=terms.waits_on,
        test=terms.use,
        on_wait=lambda waiting: terms.tell(f"waiting for {waiting}"),
        folder=folder,
        host=None if folder else source.host(),
        wait_option=terms.wait_option,
    )
    guarded: list[GuardedLease] = []
    with ExitStack() as undone:
        for lease in leases:
            undone.callback(lease.release_untouched)
        for lease in leases:
            guarded.append(
                under_guard(
                    lease,
                    source.safety_of(lease.serial, terms.silence_s),
                    controller=terms.controller,
                    once=lease.serial in terms.faulty,
                    drivers=terms.drivers,
                    spare_stick=not terms.force,
                    wait_s=terms.patience_s,
                )
            )
            undone.callback(guarded[-1].release_unused)
        undone.pop_all()
    return guarded


def open_leased(
    source: BoardSource, lease: GuardedLease, terms: Terms, limit_s: float | None = None
) -> AcquiredBoard:
    """Open a leased board and make it safe; leave a board that cannot be made safe to its guard.

    The stick is not taken from a program of this host. Exception: if the last holder died without making
    the board safe, the board was made safe when it was leased, and the stick taken.

    Args:
        source: Where the board is.
        lease: Its lease, which is released if this fails.
        terms: How to open it.
        limit_s: How long it may be silent now, in seconds; None: as `terms` says.

    Raises:
        StickInUseError: A program of this host uses the stick; nothing was done to the board.
        UnavailableError, BoardFaultError: The board cannot be opened, or not be made safe.
    """
    serial, host = lease.serial, source.host()
    with ExitStack() as undone:
        undone.callback(source.return_to_lab)
        undone.callback(lease.release_unused)  # nothing has been done to the board yet
        if lease.made_safe is not None:
            terms.tell(f"board {serial} was made safe before its use: {lease.made_safe.why}")
        source.note(terms.use)
        wiring = source.wiring_of(serial)
        with held_boards.any_board():
            board = open_driver(
                host,
                serial,
                wiring,
                limit_s=limit_s or terms.first_silence_s,
                console=terms.console,
            )
        undone.callback(board.close)
        place = source.place_of(serial)
        if place.policy != LEAVE and lease.made_safe is None and not terms.force:
            board.storage.check_unused()
        undone.pop_all()
    with ExitStack() as undone:
        undone.callback(source.return_to_lab)
        undone.callback(lease.abandon)
        undone.callback(board.close)
        if place.policy != LEAVE:
            make_board_safe(board)
            if terms.measures:
                confirm_off(board)
        record_name(lease.folder, board)
        _tell_differences(board, place, terms.tell)
        acquired = AcquiredBoard(  # last: from here on tests can open the board
            board,
            lease,
            host,
            place.simulated,
            policy=place.policy,
            source=source,
            watch=place.watch,
            on_open=terms.on_open,
        )
        undone.pop_all()
    return acquired


def reopen(acquired: AcquiredBoard, limit_s: float = ANSWER_LIMIT_S) -> None:
    """Open a board that came back, under the same lease, and make it safe.

    Args:
        acquired: The board.
        limit_s: How long it may be silent, in seconds.

    Raises:
        HilError: That failed. Every object that used the board before is refused all the same, and the board
            counts as replaced, so that it is opened again before its next use.
    """
    serial, source = acquired.board.serial, acquired.source
    acquired.replaced = True
    acquired.end_use(
        "was lost, and opened again,", "a board that comes back was reset, or its DUT was switched off"
    )
    acquired.board.close()
    if acquired.lease is not None:
        acquired.lease.follow_board()
    wiring = source.wiring_of(serial) if source is not None else None
    with ExitStack() as undone:
        with held_boards.any_board():
            board = open_driver(acquired.host, serial, wiring, limit_s=limit_s)
        undone.callback(board.close)
        apply_policy(board, acquired.policy)
        acquired.take(board)  # last: from here on tests can open the board
        undone.pop_all()
    acquired.lost = None


def _tell_differences(board: Board, place: PlaceInfo, tell: Callable[[str], None]) -> None:
    """Tell which power sequences of the board differ from the lab file; the board's are used."""
    if not place.sequences:
        return
    stored = board.settings.read()
    for name, wanted in differing_sequences(place.sequences, stored).items():
        tell(
            f"board {board.serial} stores {name} = {getattr(stored, name)!r}, the lab file has "
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
            board = open_driver(host)
        undone.callback(board.close)
        make_board_safe(board)
        undone.pop_all()
    return AcquiredBoard(board, None, host, simulated=True)
