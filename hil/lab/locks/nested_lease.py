"""Let commands that a test or `hil lease` starts use its board, as long as its lease lasts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hil.dutlink.inherited_lease import LEASED, InheritedLease, token_hash, token_hash_in
from hil.errors import BoardBusyError, LeaseEndedError, SpoiltFileError, UsageError
from hil.lab.locks.lease import LOCK_FILES, lock_path
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import LockFile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

__all__ = ["LEASED", "is_borrowed", "refuse_borrowed", "refuse_ended_lease", "refuse_other_boards"]


def is_borrowed(serial: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if this process was started under a lease of that board, and the lease still lasts.

    Raises:
        UsageError: The lock folder cannot be used.
    """
    token = environ.get(LEASED, "")
    return bool(token) and _lends(lock_path(lock_folder(), serial), token)


def refuse_ended_lease(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to acquire a lease if the lease under which this process was started has ended.

    Does nothing if that lease still lasts, even if it is a lease of another board.

    Raises:
        LeaseEndedError: The lease has ended, and this process should have ended with it.
        UsageError: The lock folder cannot be used.
    """
    token = environ.get(LEASED, "")
    if not token or any(_lends(path, token) for path in lock_folder().glob(LOCK_FILES)):
        return
    raise LeaseEndedError(
        f"the lease that {LEASED} names has ended",
        why="commands that a test or `hil lease` starts use its board while that lease lasts; the next "
        "holder may have it now",
        remedy=f"env -u {LEASED} hil ...    (then this command acquires its own lease)",
    )


def _lends(path: Path, token: str) -> bool:
    """Return True if a lock file has the token's hash and is locked."""
    if not path.exists():
        return False
    try:
        lock = LockFile(path)
    except SpoiltFileError:
        return False
    try:
        from hmac import compare_digest  # noqa: PLC0415 - only beneath `hil lease`

        if not compare_digest(token_hash_in(lock.read()), token_hash(token)):
            return False
        if lock.relock():  # no process had the lock: holder and guard were killed, the lease has ended
            lock.unlock()
            return False
        return True
    finally:
        lock.close()


def refuse_other_boards(serials: Collection[str], environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a test run that was started under a lease of one of these boards, if there are others.

    The run would lease another board, but `HIL_BOARD`, `HIL_TTY` and `HIL_LEASE` in its environment lead the
    programs that its tests start to the leased board: its ledger would name a board that they did not use.

    Args:
        serials: The boards of the run's host.
        environ: The environment.

    Raises:
        UsageError: This process was started under such a lease, and that lease lasts.
    """
    token = environ.get(LEASED, "")
    leased = InheritedLease(token).board() if token else ""
    if leased in serials and len(serials) > 1:
        raise UsageError(
            f"this run was started under a lease of board {leased}",
            why="a test run acquires a lease of its own, on another board, but the programs that its tests "
            f"start would use board {leased}, by HIL_BOARD and {LEASED}",
            remedy="run it without hil lease, and outside of the test",
            serial=leased,
        )


def refuse_borrowed(serials: Sequence[str]) -> None:
    """Refuse boards that a parent process holds while it waits for this process.

    Raises:
        BoardBusyError: A parent process holds all of these boards.
    """
    if serials and all(is_borrowed(serial) for serial in serials):
        raise BoardBusyError(
            f"board {', '.join(serials)} is held by the test or the `hil lease` that runs this",
            why="a test run acquires its own lease, and would wait for ever",
            remedy="run it without hil lease, and outside of the test",
            serial=serials[0],
        )
