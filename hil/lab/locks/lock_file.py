"""One lock file, which the kernel locks for one process at a time.

The lock (`flock`) belongs to the open file instead of the process: it ends when the last process that shares
the open file has closed it, however that process ends. So a guard can share its holder's lock. The file
stays when the lock ends: if it were removed, two processes could lock two files of one name. Only `cleanup`
and cleaners of old files remove it, so `try_lock` checks afterwards whether it locked the file of that name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.dutlink.borrowed_lease import CONTENT_BYTES, turns_in
from hil.forked_child import forget_on_fork
from hil.kernel_lock import is_file_locked, try_lock
from hil.lab.locks.lock_dir import shared_file_problem, spoilt_error, unusable_error
from hil.lab.locks.shared_file import open_shared
from hil.open_descriptors import CheckedDescriptor

if TYPE_CHECKING:
    from pathlib import Path

    from hil.errors import SpoiltFileError
    from hil.lab.locks.node_lock import NodeLock

__all__ = ["LockFile", "is_board_locked", "lock_file_problem", "lock_path"]

MOST_REPLACEMENTS = 100
"""How often `try_lock` opens a file again that was replaced since it was opened."""

SPARE_NAMES = 3
"""How many spare names a lock file has, for a first name that another user has taken."""


def lock_path(folder: Path, serial: str) -> Path:
    """Return the path of a board's lock file: the first of its names that nothing else has taken."""
    names = _lock_names(folder, serial)
    return next((path for path in names if shared_file_problem(path) is None), names[0])


def lock_file_problem(folder: Path, serial: str) -> SpoiltFileError | None:
    """Return what is wrong with the file that has the name of a board's lock file; None if nothing is."""
    return shared_file_problem(_lock_names(folder, serial)[0])


def is_board_locked(folder: Path, serial: str) -> bool:
    """Return True if a process has locked a board's lock file; asks only, and makes no file."""
    return any(map(is_file_locked, _lock_names(folder, serial)))


def _lock_names(folder: Path, serial: str) -> list[Path]:
    spares = (f".{number}" for number in range(2, 2 + SPARE_NAMES))
    return [folder / f"hil-board-{serial}{spare}.lock" for spare in ("", *spares)]


class LockFile:
    """A lock file, locked by this process or not.

    Args:
        path: The file; it is made, readable and writable for everybody, if there is none.
        descriptor: The open file, if another process locked it and passed it on.
        node: The lock on the board's device node, which is locked and unlocked with the file.
    """

    def __init__(self, path: Path, descriptor: int | None = None, node: NodeLock | None = None) -> None:
        self.path = path
        self.node = node
        self._file = CheckedDescriptor(open_shared(path) if descriptor is None else descriptor)
        self._kept_ns: int | None = None
        forget_on_fork(self)

    @property
    def descriptor(self) -> int:
        """The open file, for a `FileWatch`, or for a guard that shares its lock; -1 if it is closed."""
        return self._file.number

    @property
    def was_closed_by_others(self) -> bool:
        """Whether other code of this process closed file or node: it may hold their locks no more."""
        return self._file.was_closed_by_others or (self.node is not None and self.node.was_closed_by_others)

    @property
    def node_descriptor(self) -> int:
        """The board's device node, open and locked; -1 if it is not locked."""
        return -1 if self.node is None else self.node.descriptor

    def try_lock(self) -> bool:
        """Lock the file and the node if no other process holds them; return True if they are locked.

        Never waits.

        Raises:
            UsageError: The folder's file system has no locks, or the file cannot be opened again.
        """
        if not self._lock():
            return False
        replaced = 0
        while not self.is_current():  # a cleaner of old files removed the opened file
            replaced += 1
            if replaced > MOST_REPLACEMENTS:
                raise spoilt_error(self.path, because="a file that is replaced again and again")
            self._file.close()
            self._file = CheckedDescriptor(open_shared(self.path))
            if not self._lock():
                return False
        if self._is_held_by_another_name():
            fcntl.flock(self._file.number, fcntl.LOCK_UN)
            return False
        return self._lock_node()

    def _is_held_by_another_name(self) -> bool:
        """Return True if a process has locked another name of the board's lock file.

        The file of a name may be spoilt, mended or removed while a holder has locked another one. Each
        process first locks its file and then looks at the others, so one of two processes sees the other.
        """
        serial = self.path.name.removeprefix("hil-board-").split(".")[0]
        return any(
            is_file_locked(path) for path in _lock_names(self.path.parent, serial) if path != self.path
        )

    def release(self) -> None:
        """Clear the content, unlock, also for processes that share the file, and close; may be repeated.

        The content is cleared first, then the node is unlocked: a process that locks the file next can lock
        the node, too. The kernel reports the closing of a file before it removes the lock, so the file is
        touched after the unlocking: a watcher that tries after that event succeeds.
        """
        try:
            if self.descriptor >= 0:
                with suppress(OSError):
                    os.ftruncate(self.descriptor, 0)
                self.unlock()
        finally:
            self.close()

    def unlock(self) -> None:
        """Unlock file and node, and keep the file open."""
        if self.node is not None:
            self.node.unlock()
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        if self._kept_ns is not None:
            with suppress(OSError):
                os.utime(self.descriptor, ns=(self._kept_ns, self._kept_ns))
                return
        with suppress(OSError):  # also the file of another user, whose time can only be set to now
            os.utime(self.descriptor)

    def modified_ns(self) -> int:
        """Return when the file was changed last, which is when the board was released last, in ns."""
        return os.fstat(self.descriptor).st_mtime_ns

    def keep_modified(self, when_ns: int) -> None:
        """Have `unlock` set this time of the last change, because this use of the board does not count."""
        self._kept_ns = when_ns

    def turns(self) -> int:
        """Return how many turns of the mux programs under a lease have noted; 0 if the file is closed."""
        with suppress(OSError):
            return turns_in(self.descriptor)
        return 0

    def read(self) -> bytes:
        """Return the content, which the holder wrote; empty if the file cannot be read."""
        with suppress(OSError):
            return os.pread(self.descriptor, CONTENT_BYTES, 0)
        return b""

    def write(self, content: bytes) -> None:
        """Replace the content; only for the holder.

        The content only describes the holder: the lock works without it, on a full disk.
        """
        with suppress(OSError):
            os.pwrite(self.descriptor, content.ljust(CONTENT_BYTES), 0)

    def close(self) -> None:
        """Close this process's copy; may be repeated.

        The lock ends, unless another process (a guard) shares the open file.
        """
        if self.node is not None:
            self.node.close()
        self._file.close()

    def _lock_node(self) -> bool:
        """Lock the node after the file; if another process has the node, unlock the file again."""
        if self.node is None or self.node.try_lock():
            return True
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        return False

    def _lock(self) -> bool:
        try:
            return try_lock(self.descriptor)
        except OSError as error:
            raise unusable_error(self.path, f"its file system has no locks ({error.strerror})") from error

    def relock(self) -> bool:
        """Lock the open file and the node, without checking where the file's name leads now.

        Return True if this object has the lock, also if it had it before; False if another process has it.
        """
        return self._lock() and self._lock_node()

    def is_current(self) -> bool:
        """Return True if the file's name still leads to the open file; False also if that cannot be seen."""
        with suppress(OSError):
            return os.path.samestat(self.path.lstat(), os.fstat(self.descriptor))
        return False
