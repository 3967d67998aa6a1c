"""Lending: a test or `hil lease` lets the commands that it starts use its board, as long as its lease lasts.

The holder lends by a token (`Lease.lend`); the commands borrow by that token, which is in their environment.
The driver's part is `hil.dutlink.borrowed_lease`. Here is who borrows, what a borrower must not do, and the
end of borrowers that outlive a killed `hil lease`; those of a test run are not killed.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.borrowed_lease import LEASED, BorrowedLease, token_hash, token_hash_in
from hil.errors import BoardBusyError, LeaseEndedError, SpoiltFileError, UsageError
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import LOCK_FILES, LockFile, lock_path

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = [
    "ENDS",
    "LEASED",
    "end_borrowers",
    "is_borrowed",
    "refuse_borrowed",
    "refuse_ended_lease",
    "refuse_other_boards",
]

ENDS = "ends_borrowers"
"""The key of a lock file which says that the processes with its token end with the lease."""

_END_S = 2.0
"""How long killed processes may take to end; a process that hangs in the kernel takes longer."""

_LOOK_EVERY_S = 0.02


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
    leased = BorrowedLease(token).board() if token else ""
    if leased in serials and len(serials) > 1:
        raise UsageError(
            f"this run was started under a lease of board {leased}",
            why="a test run acquires a lease of its own, on another board, but the programs that its tests "
            f"start would use board {leased}, by HIL_BOARD and {LEASED}",
            remedy="run it without hil lease, and outside of the test",
            serial=leased,
        )


def refuse_borrowed(serials: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Refuse boards that a parent process holds while it waits for this process.

    Args:
        serials: The boards.
        environ: The environment; not with a token that this process lent itself.

    Raises:
        BoardBusyError: A parent process holds all of these boards.
    """
    if serials and all(is_borrowed(serial, environ) for serial in serials):
        raise BoardBusyError(
            f"board {', '.join(serials)} is held by the test or the `hil lease` that runs this",
            why="a test run acquires its own lease, and would wait for ever",
            remedy="run it without hil lease, and outside of the test",
            serial=serials[0],
        )


def end_borrowers(content: bytes) -> None:
    """Kill the processes that have the token of a lock file, if they were to end with its lease.

    Call this only when the lease's holder is dead: the process that would have ended the descendants of
    COMMAND has died with it. Processes that this user may not inspect, and processes that cleared their
    environment, are not found.

    Args:
        content: The content of the lock file.
    """
    lent = token_hash_in(content)
    if not lent or not json.loads(content).get(ENDS):
        return
    from signal import SIGKILL  # noqa: PLC0415 - only after a `hil lease` was killed

    deadline = time.monotonic() + _END_S
    while (left := _borrowers(lent)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, SIGKILL)
        time.sleep(_LOOK_EVERY_S)


def _borrowers(lent: str) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and int(entry.name) != os.getpid() and lent in _hashes_of(entry)
    ]


def _hashes_of(process: Path) -> list[str]:
    """Return the hashes of the tokens in a process's environment; an empty list if it has ended."""
    name = f"{LEASED}=".encode()
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
    return [
        token_hash(os.fsdecode(variable.removeprefix(name)))
        for variable in variables
        if variable.startswith(name)
    ]
