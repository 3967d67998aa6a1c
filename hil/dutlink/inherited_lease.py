"""The lease under which a test or `hil lease` started this process, and under which it uses boards.

A holder hands down a random word in the environment, with the path of its lock file, which every user may
read and which has the SHA-256 of that while the lease lasts. A pid would prove nothing: it means another
process in another PID namespace, and any process can name one. A user who can read the environment of a
process (its owner, and root) can use its lease, and could as well debug it.

For as long as a request is under way its process shares a kernel lock on the lock file (an open file
description lock, which is independent of the lease's `flock`). A holder takes the hash away, waits until no
process shares that lock, and then makes the board safe: no request of a program that it started comes later.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from contextlib import suppress
from typing import Final

from hil.dutlink.timing import until
from hil.errors import LeaseEndedError

__all__ = [
    "INHERITED",
    "LEASED",
    "LENT",
    "InheritedLease",
    "hash_of",
    "lent_in",
    "new_word",
    "wait_for_requests",
]

LEASED: Final = "HIL_LEASE"
"""The environment variable that carries the word."""

LENT: Final = "lent"
"""Where a lock file has its hash."""

_CONTENT_BYTES = 2048
_FLOCK = struct.Struct("hhqqi")
"""`struct flock` of fcntl(2): type, whence, start, length (0: to the end), pid (0)."""

_REQUEST_LIMIT_S = 10.0
"""How long a request may be under way: one to a silent board takes as long."""

_LOOK_EVERY_S = 0.002


def new_word(lock_file: str) -> str:
    """Return a word that no process has yet, with the lock file that will have its hash."""
    return f"{os.urandom(16).hex()}@{lock_file}"


def hash_of(word: str) -> str:
    """Return a word's hash, as lock files have it."""
    from hashlib import sha256  # noqa: PLC0415 - for words alone

    return sha256(os.fsencode(word)).hexdigest()


def lent_in(content: bytes) -> str:
    """Return the hash in a lock file's content; empty if there is none."""
    try:
        facts = json.loads(content)
        return str(facts.get(LENT, "")) if isinstance(facts, dict) else ""
    except (ValueError, RecursionError):
        return ""


def wait_for_requests(lock: int) -> None:
    """Wait until no request is under way that began under a word which the lock file has no more.

    Args:
        lock: The open lock file.
    """
    with suppress(OSError):  # a kernel without such locks, or a lock file that was closed
        until(lambda: not _is_shared(lock), _REQUEST_LIMIT_S, _LOOK_EVERY_S)


def _is_shared(lock: int) -> bool:
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return bool(_FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_OFD_GETLK, wanted))[0] != fcntl.F_UNLCK)


class InheritedLease:
    """A lease that another process holds, and that may end at any time.

    Args:
        word: As that process handed it down.
    """

    def __init__(self, word: str) -> None:
        self._hash = hash_of(word)
        self._path = word.partition("@")[2]

    def share(self) -> int:
        """Open the lock file for the time of a request, if the lease lasts; -1 if it cannot be opened.

        Its holder makes a lock file again that a cleaner removed. Another container may have none.

        Raises:
            LeaseEndedError: The lease has ended.
        """
        try:
            lock = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return -1
        with suppress(OSError):  # a kernel without such locks: a request may come just after the end
            fcntl.fcntl(lock, fcntl.F_OFD_SETLKW, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
        if lent_in(os.pread(lock, _CONTENT_BYTES, 0)) == self._hash and _is_locked(lock):
            return lock
        os.close(lock)
        raise LeaseEndedError(
            f"the lease that {LEASED} names has ended",
            why="this program was started by a test, or by `hil lease`, to use a board while that lease "
            "lasts; the next holder may have it now",
            remedy="end the program in the fixture that started it",
        )


def _is_locked(lock: int) -> bool:
    """Return True if a process holds the lease of a lock file; its word is stale if none does."""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


INHERITED: Final = InheritedLease(os.environ[LEASED]) if "@" in os.environ.get(LEASED, "") else None
"""That of this process; None: it was started under none. A lease that it takes itself is none of these."""
