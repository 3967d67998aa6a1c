"""One lock file, which the kernel keeps for the process that locked it first.

The lock (`flock`) belongs to the open file, not to the process: it ends when the last process that shares the
open file has closed it, however that process ends. That is what lets a guard take part in its holder's lock.
The file stays: removing a lock file lets two processes lock two files of one name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.lab.locks.lock_dir import (
    SYSTEM_FOLDERS,
    check_folder,
    forget_on_fork,
    lock_folder,
    unusable_error,
)
from hil.lab.locks.shared_file import open_shared

if TYPE_CHECKING:
    from pathlib import Path

    from hil.lab.locks.node_lock import NodeLock

__all__ = ["SYSTEM_FOLDERS", "LockFile", "check_folder", "lock_folder"]

CONTENT_BYTES = 2048
"""A lock file's content is padded to this size: one write replaces it, and no reader sees half of it."""


class LockFile:
    """A file that is either locked by this process or not.

    Args:
        path: Where it is, or will be made; readable and writable for everybody.
        descriptor: It is open already: another process locked it and passed it on.
        node: The lock on the board's own node, which is taken, given up and passed on with this one.
    """

    def __init__(self, path: Path, descriptor: int | None = None, node: NodeLock | None = None) -> None:
        self.path = path
        self.node = node
        self._descriptor = open_shared(path) if descriptor is None else descriptor
        forget_on_fork(self)

    @property
    def descriptor(self) -> int:
        """The open file, for a bell that watches it or a guard that shares its lock; -1 when it is closed."""
        return self._descriptor

    @property
    def node_descriptor(self) -> int:
        """The board's node, open and locked; -1 if it is not locked."""
        return -1 if self.node is None else self.node.descriptor

    def try_lock(self) -> bool:
        """Lock it if no process holds it; never waits.

        Raises:
            UsageError: The folder's file system knows no locks.
        """
        if not self._lock():
            return False
        while not self.is_current():  # a cleaner of old files removed it since it was opened
            os.close(self._descriptor)
            self._descriptor = -1
            self._descriptor = open_shared(self.path)
            if not self._lock():
                return False
        return self._lock_node()

    def unlock(self) -> None:
        """Give it up, also for processes that share it, and ring for its watchers; harmless when repeated.

        Its content goes first, then the node: a process that gets the file next gets the node, too. The
        kernel announces the closing of a file before it takes the lock away, so the touch after the unlocking
        is the bell that a watcher can trust.
        """
        try:
            if self._descriptor >= 0:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, 0)
                self.give_back()
        finally:
            self.close()

    def give_back(self) -> None:
        """Give the lock up and keep the file open."""
        if self.node is not None:
            self.node.unlock()
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        with suppress(OSError):
            os.utime(self._descriptor)

    def read(self) -> bytes:
        """Return what its holder wrote."""
        return os.pread(self._descriptor, CONTENT_BYTES, 0)

    def write(self, content: bytes) -> None:
        """Replace its content. Only for its holder.

        The content only names the holder: if there is no room for it, the lock holds all the same.
        """
        with suppress(OSError):
            os.pwrite(self._descriptor, content.ljust(CONTENT_BYTES), 0)

    def close(self) -> None:
        """Close this process's copy; harmless when repeated.

        The lock ends with it, unless another process (a guard) shares the open file.
        """
        if self.node is not None:
            self.node.close()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _lock_node(self) -> bool:
        """Lock the board's node after its file; the file is let go, without a bell, if the node is taken."""
        if self.node is None or self.node.try_lock():
            return True
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return False

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise unusable_error(self.path, f"its file system gives no locks ({error.strerror})") from error
        return True

    def try_lock_again(self) -> bool:
        """Lock the open file, whatever its name leads to now; True as well if it is locked by this file."""
        return self._lock() and self._lock_node()

    def is_current(self) -> bool:
        """Return True if the open file is the one that others open by its name."""
        try:
            named = self.path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))
