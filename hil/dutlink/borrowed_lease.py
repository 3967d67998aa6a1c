"""The lease that this process borrows: a test or `hil lease` holds it, and started this process.

The holder passes a random token in the environment, together with the path of its lock file. While the lease
lasts, the lock file, which every user may read, has the SHA-256 of token and board. A process id would prove
nothing: it means another process in another PID namespace, and any process can name one.

Every user may also write the lock file. So its text alone proves nothing: the process that holds the kernel's
lock must be one of the same user, or an ancestor of this process. A user who can read the environment of a
process can use its lease; the same user could also debug the process.

During a request a process shares a kernel lock on the lock file (an open file description lock, which is
independent of the lease's `flock`). To end the lease, the holder removes the hash, waits until no process
shares that lock, and then makes the board safe. So no request of a program that it started comes later.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from typing import Final

from hil.errors import LeaseEndedError, NotLeasedError, StorageError
from hil.kernel_lock import is_locked, is_locked_for_this_process

__all__ = [
    "BORROWED",
    "CONTENT_BYTES",
    "FLOCK",
    "LEASED",
    "LENT",
    "OF_BOARD",
    "BorrowedLease",
    "is_shared",
    "new_token",
    "token_hash",
    "turns_in",
    "word_in",
]

LEASED: Final = "HIL_LEASE"
"""The environment variable with the token and the path of the lock file."""

LENT: Final = "lent"
"""The key of the token's hash in a lock file."""

OF_BOARD: Final = "of_board"
"""The key of the serial number of the leased board in a lock file."""

CONTENT_BYTES: Final = 2048
"""Lock files are padded to this size: one write replaces the content, and no reader sees half of it."""

FLOCK: Final = struct.Struct("hhqqi0q")
"""`struct flock` of fcntl(2): type, whence, start, length (0: to the end), pid (0)."""


def new_token(lock_file: str) -> str:
    """Return a new token, with the path of the lock file that will have its hash."""
    return f"{os.urandom(16).hex()}@{lock_file}"


def token_hash(token: str, serial: str, use: str = LENT) -> str:
    """Return the hash of a token, as the lock file of one board has it.

    Who does not know the token cannot make it for another board or another use.

    Args:
        token: The token.
        serial: The board that is lent.
        use: The key of the hash in the lock file.
    """
    from hashlib import sha256  # noqa: PLC0415 - only tokens need it

    return sha256(f"{token}\0{serial}\0{use}".encode("utf-8", "surrogatepass")).hexdigest()


def word_in(content: bytes, key: str) -> str:
    """Return a word of a lock file's content; empty if there is none."""
    try:
        facts = json.loads(content)
        return str(facts.get(key, "")) if isinstance(facts, dict) else ""
    except (ValueError, RecursionError):
        return ""


def turns_in(lock: int) -> int:
    """Return how often programs under a lease have turned the mux: each turn adds a byte to the lock file.

    Args:
        lock: The open lock file.
    """
    return max(0, os.fstat(lock).st_size - CONTENT_BYTES)


def is_shared(lock: int) -> bool:
    """Return True if a request of a program under the lease is under way.

    A request shares the whole file. So if any user's program has locked a part of it alone, none is.

    Args:
        lock: The open lock file.
    """
    wanted = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return bool(FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_OFD_GETLK, wanted))[0] == fcntl.F_RDLCK)


class BorrowedLease:
    """A lease that another process holds, and that may end at any time.

    Args:
        token: The value of the environment variable.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._path = token.partition("@")[2]

    def board(self) -> str:
        """Return the serial number of the board while the lease lasts; empty after its end."""
        try:
            lock = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return ""
        try:
            serial = self._lent_in(os.pread(lock, CONTENT_BYTES, 0))
            is_leased = serial and is_locked(lock) and is_locked_for_this_process(lock)
            return serial if is_leased else ""
        finally:
            os.close(lock)

    def _lent_in(self, content: bytes) -> str:
        """Return the board that a lock file lends by this token; empty if it lends none."""
        serial = word_in(content, OF_BOARD)
        return serial if word_in(content, LENT) == token_hash(self._token, serial) else ""

    def turns(self) -> int:
        """Return how often programs under this lease, this one too, have turned the mux."""
        try:
            return max(0, os.lstat(self._path).st_size - CONTENT_BYTES)
        except OSError:
            return 0

    def note_turn(self, serial: str) -> None:
        """Count, for the holder, that this process turns the mux: the stick may be another one afterwards.

        Args:
            serial: The board whose mux turns.

        Raises:
            NotLeasedError, LeaseEndedError: As `share`.
            StorageError: The lock file cannot be written, so the mux must not be turned.
        """
        shared = self.share(serial)
        try:
            lock = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.write(lock, b".")
            finally:
                os.close(lock)
        except OSError as error:
            raise StorageError(
                f"board {serial}: the mux was not turned",
                why=f"the test or `hil lease` that started this program could not know it: {self._path} "
                f"cannot be written ({error.strerror})",
                remedy="run this program as the user who holds the board, and do not mount the lock folder "
                "read-only",
                errno=error.errno,
                serial=serial,
            ) from error
        finally:
            os.close(shared)

    def share(self, serial: str) -> int:
        """Share the lock for the time of a request, and return its descriptor.

        Args:
            serial: The board that gets the request.

        Raises:
            NotLeasedError: The lease is one of another board.
            LeaseEndedError: The lease has ended, is held by another user who did not start this program, or
                its lock file cannot be opened or shared. A run whose lock file was removed makes it again
                before its next test.
        """
        try:
            lock = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise LeaseEndedError(
                f"the lease that {LEASED} names cannot be checked",
                why=f"its lock file {self._path} cannot be opened ({error.strerror}): it may have ended",
                remedy="keep cleaners out of that folder, and let a container see it",
            ) from error
        if not _shared(lock):
            os.close(lock)
            raise LeaseEndedError(
                f"the lease that {LEASED} names cannot be checked",
                why=f"another program than hil has locked its lock file {self._path}",
                remedy=f"end that program; fuser -v {self._path} names it",
            )
        leased = self._lent_in(os.pread(lock, CONTENT_BYTES, 0))
        is_held = bool(leased) and is_locked(lock)
        is_ours = is_held and is_locked_for_this_process(lock)
        if is_ours and leased == serial:
            return lock
        os.close(lock)
        if is_held and not is_ours:
            raise LeaseEndedError(
                f"board {leased} is not leased for this program",
                why="its holder belongs to another user, and did not start this program",
                remedy=f"env -u {LEASED} ...    (then it waits for a lease of its own)",
                serial=leased,
            )
        if leased not in {serial, ""}:
            raise NotLeasedError(
                f"board {serial} was opened without a lease",
                why=f"this program was started under a lease of board {leased}, which {LEASED} names",
                remedy=f"use board {leased}; hil.open_board(host, {serial!r}) leases that other board, too",
                serial=serial,
            )
        raise LeaseEndedError(
            f"the lease that {LEASED} names has ended",
            why="this program was started by a test, or by `hil lease`, to use a board while that lease "
            "lasts; the next holder may have it now",
            remedy="end the program in the fixture that started it",
        )


def _shared(lock: int) -> bool:
    """Share the lock on a lock file, and return True; return False if a program has locked it alone.

    hil never does so, and any user may; so this does not wait.
    """
    try:
        fcntl.fcntl(lock, fcntl.F_OFD_SETLK, FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a kernel without such locks: a request may come just after the end
        return True
    return True


BORROWED: Final = BorrowedLease(os.environ[LEASED]) if os.environ.get(LEASED) else None
"""The lease under which this process was started, or None; a lease that it takes itself does not count."""
