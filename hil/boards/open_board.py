"""Open a board in a program: leased, with a guard, and safe, until the program closes it or ends."""

from __future__ import annotations

import atexit
import gc
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards.address import Where, parse_boards
from hil.boards.lease_and_open import Terms, lease_boards, open_leased
from hil.boards.lent_token import borrowed_token, lend_token, withdraw_token
from hil.boards.requirements import ANY_BOARD
from hil.boards.search import BoardSearch
from hil.boards.sources import HostSource, source_of
from hil.dutlink.board import open_driver
from hil.dutlink.borrowed_lease import BorrowedLease
from hil.dutlink.discovery import ANSWER_LIMIT_S, serials_on
from hil.dutlink.held_boards import held_boards
from hil.dutlink.usb.access import Access
from hil.errors import BoardBusyError, HilError, UsageError, tell_user
from hil.lab.board_lookup import resolve_serial
from hil.lab.config.lab_file import find_lab
from hil.lab.locks.lending import LEASED, is_borrowed, refuse_ended_lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.boards.acquired import AcquiredBoard
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.dutlink.wiring import Wiring
    from hil.lab.guard.guarded_lease import GuardedLease

__all__ = ["open_board"]

WAIT_S = 30.0
"""How long to wait for a board in use, in seconds, as for `hil lease`."""

_open_boards: weakref.WeakSet[Board] = weakref.WeakSet()
"""The boards that this process has opened here, and not closed."""


def open_board(  # noqa: PLR0913 - most are left out
    host: Host | None = None,
    serial: str | None = None,
    wiring: Wiring | None = None,
    *,
    limit_s: float = ANSWER_LIMIT_S,
    console: bool = True,
    wait_s: float = WAIT_S,
) -> Board:
    """Lease a board, start a guard beside this process, open the board and make it safe.

    No other program gets the board until it is closed: by the end of a `with` block, by `close`, when nothing
    refers to it any more, or when this process ends, however it ends. Then it is made safe again.

    In a test, only the board that the run gave to the test can be opened; the run makes it safe. A program
    that `hil lease` or a test has started uses the board of that lease.

    Args:
        host: Where the board is plugged in; None: where `HIL_BOARDS` says, else this machine's USB.
        serial: Its serial number, its place in the lab file, or the name that it stores; None: the first
            free board, or the board of the lease under which this program was started.
        wiring: Its surroundings; None: as the lab file has them.
        limit_s: Seconds for which it may be silent at first, since it may be running a power sequence.
        console: Open the console too, so that none of the DUT's output is missed.
        wait_s: How long to wait for a board that another program holds, in seconds.

    Raises:
        BoardBusyError: Another program holds the board, or this one has opened it already.
        UnavailableError: The board is absent, may not be opened, or cannot be made safe.
        BoardFaultError: The board answers, and cannot be used.
        StickInUseError: A program of this host uses the board's stick.
        GuardError: No guard can run beside this process.
        LeaseEndedError: This program was started under a lease that has ended.
        NotLeasedError: This process belongs to a run, and does not hold the board.
        UsageError: The lab file or `HIL_BOARDS` has an error.
    """
    if isinstance(host, str):
        raise UsageError(
            f"open_board({host!r}) names no host",
            why="its first argument is where the board is plugged in",
            remedy=f"open_board(serial={host!r})",
        )
    host = host or _usual_host()
    if held_boards.is_restricted(host):
        return open_driver(host, serial, wiring, limit_s=limit_s, console=console)
    lab = find_lab(None, Path.cwd())
    source = HostSource(host, lab, wiring)
    environ = {LEASED: borrowed_token()}
    if serial is not None:
        serials = [resolve_serial(host, lab, serial)]
    else:
        serials = [one for one in serials_on(host) if is_borrowed(one, environ)]
        serials = serials or BoardSearch(source, lab, limit_s).find(host, ANY_BOARD)
    if is_borrowed(serials[0], environ):
        wiring = source.wiring_of(serials[0])
        board = open_driver(host, serials[0], wiring, limit_s=limit_s, console=console)
        board.access.lease = BorrowedLease(environ[LEASED])
        return board
    refuse_ended_lease(environ)
    terms = Terms(
        use="", tell=tell_user, wait_s=wait_s, wait_option="wait_s", silence_s=limit_s, console=console
    )
    (lease,) = lease_boards(source, [_not_open_here(host, serials)], terms)
    acquired = open_leased(source, lease, terms)
    try:
        return _handed_out(acquired, lease)
    except BaseException:  # Ctrl-C in a notebook, whose process goes on
        acquired.abandon()
        raise


def _usual_host() -> Host:
    """Return the host that `HIL_BOARDS` names; this machine's USB without that variable."""
    boards = parse_boards(os.environ.get("HIL_BOARDS") or "usb", option="--boards")
    if boards.where not in {Where.USB, Where.RUNNING}:
        raise UsageError(
            f"HIL_BOARDS={boards.text} names no board that a program can open",
            why="it names simulated boards that a test run would start, boards of a lab, or none",
            remedy="HIL_BOARDS=usb, or sim@PORT with the control_port that hil sim prints",
        )
    return source_of(boards).host()


def _not_open_here(host: Host, serials: Sequence[str]) -> list[str]:
    """Return the boards that this program has not opened already.

    Raises:
        BoardBusyError: It has opened all of them.
    """
    left = [serial for serial in serials if not _is_open_here(host, serial)]
    if not left:
        gc.collect()  # gives back a board to which nothing refers any more
        left = [serial for serial in serials if not _is_open_here(host, serial)]
    if not left:
        raise BoardBusyError(
            f"board {serials[0]} is open in this program already",
            why="the program opened it before, and has not closed it",
            remedy="go on with the first object, or close() it; `with hil.open_board() as board` closes it",
            serial=serials[0],
        )
    return left


def _is_open_here(host: Host, serial: str) -> bool:
    return any(board.serial == serial and board.host.dev == host.dev for board in _open_boards)


def _handed_out(acquired: AcquiredBoard, lease: GuardedLease) -> Board:
    """Return the board; its lease ends when it is closed, or when nothing refers to it any more."""
    board, owner = acquired.board, os.getpid()
    token = lease.lend(ends_borrowers=False)
    forgotten = weakref.finalize(board, _abandon_forgotten, acquired.host, board.serial, lease, token)
    forgotten.atexit = False

    def release() -> None:
        if os.getpid() != owner:  # in a fork, which has no lease
            return
        forgotten.detach()
        _open_boards.discard(board)
        withdraw_token(token)
        acquired.release_safe()

    lease.keep_lock()
    lend_token(token)
    board.close_with(release)
    _open_boards.add(board)
    return board


def _abandon_forgotten(host: Host, serial: str, lease: GuardedLease, token: str) -> None:
    """Leave a board to its guard, in a thread: this is called wherever Python collects garbage."""

    def abandon() -> None:
        withdraw_token(token)
        held_boards.end(host, Access(serial), "was forgotten by its program")
        lease.abandon()

    threading.Thread(target=abandon, name=f"hil-forgotten-{serial}").start()


@atexit.register
def _close_all() -> None:
    """Make the boards safe that the program has not closed; if it is killed, their guards do it."""
    for board in list(_open_boards):
        try:
            board.close()
        except HilError as error:
            tell_user(str(error))
