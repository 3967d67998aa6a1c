"""Commands that a test or `hil lease` starts use the board that it holds, for as long as its lease lasts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hil.dutlink.inherited_lease import LEASED, hash_of, lent_in
from hil.errors import BoardBusyError, LeaseEndedError, SpoiltFileError
from hil.lab.locks.lease import LOCK_FILES, lock_path
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import LockFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["LEASED", "is_borrowed", "refuse_ended_lease", "refuse_what_is_borrowed"]


def is_borrowed(serial: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if this process was started under a lease of that board which still lasts.

    Raises:
        UsageError: The lock folder cannot be used.
    """
    word = environ.get(LEASED, "")
    return bool(word) and _lends(lock_path(lock_folder(), serial), word)


def refuse_ended_lease(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse to take a lease of one's own in the place of the one that this process was started under.

    A lease of another board that still lasts hinders nothing.

    Raises:
        LeaseEndedError: That lease has ended: this process was to end with it.
        UsageError: The lock folder cannot be used.
    """
    word = environ.get(LEASED, "")
    if not word or any(_lends(path, word) for path in lock_folder().glob(LOCK_FILES)):
        return
    raise LeaseEndedError(
        f"the lease that {LEASED} names has ended",
        why="commands that a test or `hil lease` starts use its board while that lease lasts; the next "
        "holder may have it now",
        remedy=f"unset {LEASED}    (then this command takes a lease of its own)",
    )


def _lends(path: Path, word: str) -> bool:
    """Return True if a lock that is held has the hash of a word."""
    if not path.exists():
        return False
    try:
        lock = LockFile(path)
    except SpoiltFileError:
        return False
    try:
        from hmac import compare_digest  # noqa: PLC0415 - only beneath `hil lease`

        if not compare_digest(lent_in(lock.read()), hash_of(word)):
            return False
        if lock.relock():  # its holder and its guard were killed: the word is stale
            lock.unlock()
            return False
        return True
    finally:
        lock.close()


def refuse_what_is_borrowed(serials: Sequence[str]) -> None:
    """Refuse to wait for boards that a process above this one holds, which waits for this one.

    Raises:
        BoardBusyError: Only such boards would do.
    """
    if serials and all(is_borrowed(serial) for serial in serials):
        raise BoardBusyError(
            f"board {', '.join(serials)} is held by the test or the `hil lease` that runs this",
            why="a test run takes a lease of its own, and this one would never come",
            remedy="run it without hil lease, and outside of the test",
            serial=serials[0],
        )
