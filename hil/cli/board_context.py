"""Find, lease and open the board that a command uses. Afterwards the board stays as the command left it.

`use_board` starts no guard: after `hil power on`, the DUT is to stay on. The next test run makes it safe.
"""

from __future__ import annotations

import errno
import math
import os
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards.address import Where, parse_boards
from hil.boards.sources import source_of
from hil.dutlink.board import open_driver
from hil.dutlink.console.sanitize import sanitize_line
from hil.dutlink.held_boards import held_boards
from hil.dutlink.timing import ANSWER_LIMIT_S
from hil.errors import BoardAbsentError, BoardLostError, UsageError, tell_user
from hil.lab.board_lookup import resolve_serial, with_place
from hil.lab.config.lab_file import find_lab
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lease import last_used_s, note_use
from hil.lab.locks.lending import is_borrowed, refuse_ended_lease
from hil.lab.locks.lock_dir import lock_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.boards.address import BoardsOption
    from hil.boards.board_source import BoardSource
    from hil.cli.board_options import BoardSelection
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.lab.config.lab import Lab
    from hil.lab.guard.guarded_lease import GuardedLease
    from hil.lab.locks.wait_status import WaitStatus

__all__ = [
    "current_lab",
    "find_host",
    "find_source",
    "refuse_remote_boards",
    "use_board",
    "use_board_safely",
]


def find_host(boards: str) -> Host:
    """Return the host with the boards that a command uses; raise as `find_source` does."""
    return find_source(boards).host()


def find_source(
    boards: str,
    *,
    lab: Lab | None = None,
    why_not_started: str = "they would end with this command",
    remedy: str = "hil sim --boards 2, then --boards sim@PORT with its control_port",
) -> BoardSource:
    """Return the source of the boards that a command uses.

    Args:
        boards: Value of `--boards`.
        lab: The lab file.
        why_not_started: Reason in the error if `boards` would start simulated boards.
        remedy: Remedy in that error.

    Raises:
        UsageError: `boards` names no existing boards of this host.
    """
    if os.environ.get("HIL_BOARDS") == "" and boards == "usb":
        _warn_once("HIL_BOARDS is empty, which counts as not set: boards are looked for on USB")
    option = parse_boards(boards, option="--boards")
    refuse_remote_boards(option)
    if option.where is Where.STARTED:
        raise UsageError(
            f"--boards {boards} would start new simulated boards",
            why=why_not_started,
            remedy=remedy,
        )
    return source_of(option, lab=lab)


def refuse_remote_boards(option: BoardsOption) -> None:
    """Refuse boards of a Jumpstarter lab, whose lease would end with the command and switch the DUT off.

    Raises:
        UsageError: `option` names such boards.
    """
    if option.where is Where.JUMPSTARTER:
        raise UsageError(
            f"--boards {option.text} is for test runs",
            why="a command by hand leaves the board as it is, and a lab makes it safe when its lease ends",
            remedy="pytest --hil-boards ..., or Jumpstarter's own `j power on` in a `jmp shell`",
        )


def current_lab() -> Lab:
    """Read the lab file for the current folder; warn if other users can change it.

    Raises:
        UsageError: The file has an error.
        UntrustedFileError: This process is root's, and other users can change the file.
    """
    lab = find_lab(None, Path.cwd())
    if lab.file:
        from hil.lab.files.trusted_path import why_untrusted  # noqa: PLC0415 - only with a lab file

        if why := why_untrusted(lab.file):
            _warn_once(f"other users decide what {lab.file} says: {why}")
    return lab


@cache
def _warn_once(line: str) -> None:
    sys.stderr.write(f"hil: {sanitize_line(line)}\n")


@contextmanager
def use_board(selection: BoardSelection, what: str, *, changes: bool = True) -> Iterator[Board]:
    """Lease and open a board for a `with` block.

    Args:
        selection: The board, and the time to wait for it.
        what: The command, which other users see as the holder.
        changes: Whether the command may change what the DUT draws.

    Raises:
        UnavailableError: The board is absent, may not be opened, or stayed in use.
        LeaseEndedError: This process was started under a lease that has ended.
        UsageError: There are several boards, and none was named.
    """
    host = find_host(selection.boards)
    lab = current_lab()
    serial = resolve_serial(host, lab, selection.serial)
    used_s, borrowed = last_used_s(serial), is_borrowed(serial)
    lease = (
        _borrow(serial, changes=changes)
        if borrowed
        else _acquire(host, serial, selection.wait_s, what, changes=changes)
    )
    with (
        lease as waited_until_s,
        _open(host, lab, serial, selection.silence_s, borrowed=borrowed) as board,
        _position_on_record(board),
    ):
        board.power.unchanged_since(max(used_s, waited_until_s))
        try:
            yield board
        finally:
            _record_name(board)


def _open(host: Host, lab: Lab, serial: str, silence_s: float, *, borrowed: bool) -> Board:
    """Open a board under this process's lease, or under a borrowed lease while that lasts."""
    try:
        with nullcontext() if borrowed else held_boards.any_board():
            return open_driver(host, serial, lab.wiring_of(serial), limit_s=silence_s, console=False)
    except BoardAbsentError as error:
        raise with_place(error, lab, serial) from error
    except BoardLostError as error:
        _advise_patience(error, silence_s)
        raise


def _advise_patience(error: BoardLostError, silence_s: float) -> None:
    """Advise a longer `--wait` in the error of a board that did not answer within `silence_s`."""
    if error.errno == errno.ETIMEDOUT and silence_s < ANSWER_LIMIT_S:
        error.remedy = (
            f"--wait {ANSWER_LIMIT_S:g} if a power sequence is running (the board is silent until it ends), "
            "else replug the board"
        )


def _record_name(board: Board) -> None:
    """Record the name that the board stores, if this command has read its settings."""
    if board.stored_name is not None:
        from hil.lab.safe_state.record import record_name  # noqa: PLC0415 - most commands read no settings

        record_name(lock_folder(), board)


@contextmanager
def _position_on_record(board: Board) -> Iterator[None]:
    """Record the position of the stick for `hil boards`, because a board does not report it.

    From the first move of the mux until the end of the block, the record says that it is unknown.
    """
    turned = False

    def before_turn() -> None:
        nonlocal turned
        if not turned:
            _write_position(board.serial, "")
        turned = True

    board.call_before_turn(before_turn)
    try:
        yield
    finally:
        if board.position is not None:
            _write_position(board.serial, str(board.position))


def _write_position(serial: str, position: str) -> None:
    from hil.lab.safe_state.record import read_record, write_record  # noqa: PLC0415 - few commands turn the mux

    folder = lock_folder()
    write_record(folder, serial, read_record(folder, serial).with_position(position))


@contextmanager
def use_board_safely(
    selection: BoardSelection, what: str, *, force: bool = False, drivers: int = -1
) -> Iterator[tuple[Board, GuardedLease]]:
    """Lease and open a board as a test run does, for a `with` block: with a guard, and safe before and after.

    If a program of this host uses the stick, raise StickInUseError: before the block, or after it, with the
    DUT off and the stick left on the host.

    Args:
        selection: The board, and the time to wait for it.
        what: The command, which other users see as the holder.
        force: Take the stick away from a program that uses it.
        drivers: See `under_guard`.

    Raises:
        UnavailableError: The board is absent, may not be opened, stayed in use, or cannot be made safe.
        StickInUseError: The stick is in use on this host.
        LeaseEndedError: This process was started under a lease that has ended.
        UsageError: There are several boards, and none was named.
    """
    from hil.boards.lease_and_open import Terms, lease_boards, open_leased  # noqa: PLC0415 - most commands need no guard

    lab = current_lab()
    source = find_source(selection.boards, lab=lab)
    serial = resolve_serial(source.host(), lab, selection.serial)
    refuse_ended_lease()
    terms = Terms(
        use=what,
        tell=tell_user,
        wait_s=selection.wait_s,
        wait_option="--wait",
        patience_s=selection.silence_s,
        drivers=drivers,
        force=force,
        console=False,
    )
    try:
        (lease,) = lease_boards(source, [[serial]], terms)
        acquired = open_leased(source, lease, terms)
    except BoardAbsentError as error:
        raise with_place(error, lab, serial) from error
    except BoardLostError as error:
        _advise_patience(error, selection.silence_s)
        raise
    lease.keep_lock()
    try:
        yield acquired.board, lease
    finally:
        acquired.release_safe(force=force)


@contextmanager
def _acquire(host: Host, serial: str, wait_s: float, what: str, *, changes: bool) -> Iterator[float]:
    """Lease a board for a `with` block; yield when another holder may last have used it."""
    refuse_ended_lease()
    waited = False

    def on_wait(waiting: WaitStatus) -> None:
        nonlocal waited
        waited = True
        tell_user(f"waiting for {waiting}")

    with acquire(serial, wait_s=wait_s, test=what, on_wait=on_wait, host=host, wait_option="--wait") as lease:
        if not changes:
            lease.leave_untouched()
        yield time.monotonic() if waited else -math.inf


@contextmanager
def _borrow(serial: str, *, changes: bool) -> Iterator[float]:
    """Use a board under a borrowed lease for a `with` block; the rest is as in `_acquire`."""
    try:
        yield -math.inf
    finally:
        if changes:
            note_use(serial)
