"""Lending: a test or `hil lease` lets the commands that it starts use its board, as long as its lease lasts.

The holder lends by a token (`Lease.lend`); the commands borrow by that token, which is in their environment.
The driver's part is `hil.dutlink.borrowed_lease`. Here is who borrows, what a borrower must not do, and the
end of borrowers that outlive a killed `hil lease`; those of a test run are not killed.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.borrowed_lease import LEASED, BorrowedLease, is_shared, token_hash, word_in
from hil.dutlink.timing import until
from hil.errors import BoardBusyError, LeaseEndedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

__all__ = [
    "ENDS",
    "LEASED",
    "end_borrowers",
    "is_borrowed",
    "refuse_borrowed",
    "refuse_ended_lease",
    "refuse_other_boards",
    "wait_for_requests",
]

ENDS = "ends_borrowers"
"""The key of a second hash in a lock file, by which the processes with its token end with the lease."""

_REQUEST_LIMIT_S = 10.0
"""The longest duration of a request, in seconds; one to a silent board takes that long."""

_SHORT_REQUEST_S = 0.05
_LOOK_AT_LOCK_EVERY_S = 0.002

_END_S = 2.0
"""How long killed processes may take to end; a process that hangs in the kernel takes longer."""

_LOOK_EVERY_S = 0.02


def is_borrowed(serial: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if this process was started under a lease of that board, and the lease still lasts."""
    token = environ.get(LEASED, "")
    return bool(token) and BorrowedLease(token).board() == serial


def refuse_ended_lease(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to acquire a lease if the lease under which this process was started has ended.

    Does nothing if that lease still lasts, even if it is a lease of another board.

    Raises:
        LeaseEndedError: The lease has ended, and this process should have ended with it.
    """
    token = environ.get(LEASED, "")
    if not token or BorrowedLease(token).board():
        return
    raise LeaseEndedError(
        f"the lease that {LEASED} names has ended",
        why="commands that a test or `hil lease` starts use its board while that lease lasts; the next "
        "holder may have it now",
        remedy=f"env -u {LEASED} hil ...    (then this command acquires its own lease)",
    )


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


def wait_for_requests(lock: int) -> None:
    """Wait until the requests have ended that began before the hash was removed from the lock file.

    A program that was stopped in the midst of a request is killed: its request would come when another
    process has the board. Any user may share the lock, which delays this: cut a DUT's power before it.

    Args:
        lock: The open lock file.
    """
    with suppress(OSError):  # a kernel without such locks, or a lock file that was closed
        if until(lambda: not is_shared(lock), _SHORT_REQUEST_S, _LOOK_AT_LOCK_EVERY_S):
            return
        from hil.lab.locks.stopped_guards import LockKind, kill_stopped_sharers  # noqa: PLC0415 - seldom

        def have_ended() -> bool:
            kill_stopped_sharers(lock, LockKind.OF_REQUEST)
            return not is_shared(lock)

        until(have_ended, _REQUEST_LIMIT_S, _LOOK_EVERY_S)


def end_borrowers(content: bytes, serial: str) -> None:
    """Kill the processes that have the token of a lock file, if they were to end with its lease.

    Call this only when the lease's holder is dead: the process that would have ended the descendants of
    COMMAND has died with it. Processes that this user may not inspect, and processes that cleared their
    environment, are not found. Any user may have written the lock file, but its hash is one of a process's
    token only if it comes from the holder who lent that token, for this board and to this end.

    Args:
        content: The content of the lock file.
        serial: The board.
    """
    lent = word_in(content, ENDS)
    if not lent:
        return
    from hil.lab.locks.stopped_guards import kill_if  # noqa: PLC0415 - only after a `hil lease` was killed

    def is_borrower(pid: int) -> bool:
        return lent in _hashes_of(pid, serial)

    deadline = time.monotonic() + _END_S
    while (left := _processes_that(is_borrower)) and time.monotonic() < deadline:
        for pid in left:
            kill_if(pid, is_borrower, wait_s=0.0)
        time.sleep(_LOOK_EVERY_S)


def _processes_that(are_meant: Callable[[int], bool]) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in pids if pid != os.getpid() and are_meant(pid)]


def _hashes_of(pid: int, serial: str) -> list[str]:
    """Return the hashes of the tokens in a process's environment; an empty list if it has ended."""
    name = f"{LEASED}=".encode()
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
    return [
        token_hash(os.fsdecode(variable.removeprefix(name)), serial, ENDS)
        for variable in variables
        if variable.startswith(name)
    ]
