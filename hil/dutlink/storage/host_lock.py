"""Locks on folders of a host, which let one board at a time do what would confuse another board."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hil.dutlink.timing import outer_limit, until
from hil.dutlink.usb.error_mapping import ErrorSource, translate
from hil.errors import StorageError
from hil.forked_child import OwnDescriptors, forget_on_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["HostLock", "SearchLocks"]

logger = logging.getLogger(__name__)

_WAIT_LIMIT_S = 90.0
"""Seconds to wait for another board, which may need so long to learn while other disks come and go."""

_TOLD_AFTER_S = 2.0

_APART_S = 1.5
"""Seconds between two boards' turns to the host, so that arrival times tell their sticks apart."""


class HostLock:
    """The lock, which ends after a while, so that a caller that does not release it blocks no other board.

    It is a kernel lock on a folder that exists already, such as /dev; it ends with its process.

    Args:
        path: The folder.
        limit_s: How long it lasts, in seconds, unless it is kept.
        purpose: What a board that holds it does, for messages, such as `looks for its stick`.
    """

    def __init__(self, path: Path, limit_s: float, purpose: str) -> None:
        self._path = path
        self._limit_s = limit_s
        self._purpose = purpose
        self._folder: OwnDescriptors | None = None
        self._ends: threading.Timer | None = None
        self._changing = threading.RLock()
        forget_on_fork(self)

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._folder is not None

    def acquire(self, *, kept: bool = False) -> None:
        """Acquire the lock, after waiting for other boards; the wait does not count for a test's time limit.

        Args:
            kept: Hold it until `release`.

        Raises:
            StorageError: Another board holds the lock for too long.
        """
        self.release()
        descriptor = _open_folder(self._path)
        folder = OwnDescriptors(descriptor)
        try:
            _lock(descriptor, self._path, self._purpose)
            ends = None if kept else threading.Timer(self._limit_s, self._end, (folder,))
            with self._changing:
                self._folder, self._ends = folder, ends
            if ends is not None:
                ends.daemon = True
                ends.start()
        except BaseException:  # also after Ctrl-C: a lock that stays would block this process itself
            folder.close()
            self.release()
            raise

    def keep(self) -> bool:
        """Hold the lock until `release`; return False if it is not held, as after its time limit."""
        with self._changing:
            if self._ends is not None:
                self._ends.cancel()
            self._ends = None  # a timer that has passed `cancel` finds that the lock is kept
            return self.is_held

    def release(self) -> None:
        """Release the lock; harmless if it is not held, and from two threads at once."""
        with self._changing:
            if self._ends is not None:
                self._ends.cancel()
            if self._folder is not None:
                self._folder.close()
            self._folder = self._ends = None

    def close(self) -> None:
        """In a forked child, forget the lock, whose copied descriptor is closed elsewhere."""
        self._changing = threading.RLock()  # another thread may have held it when the child was forked
        self._folder = self._ends = None

    def _end(self, folder: OwnDescriptors) -> None:
        """Release the lock, unless it is kept, or is the next one by now: a timer may be late."""
        with self._changing:
            if self._folder is folder and self._ends is not None:
                self.release()


class SearchLocks:
    """The locks of one board's search for its stick: one to learn its socket, one to turn to the host.

    Args:
        dev: The host's device folder; its lock keeps other boards from learning.
        sys: The folder of the host's kernel for disks; the lock of its `block` keeps them from turning.
        learning_s: How long the lock for learning lasts, in seconds, unless `keep_learning` is called.
    """

    def __init__(self, dev: Path, sys: Path, learning_s: float) -> None:
        self._learning = HostLock(dev, learning_s, "looks for its stick")
        self._arrival = HostLock(sys / "block", _APART_S, "turns its stick to the host")
        self._is_alone = False

    @property
    def is_learning(self) -> bool:
        """Whether the lock for learning is held."""
        return self._learning.is_held

    def begin_learning(self) -> None:
        """Acquire the lock for learning; raises StorageError if another board holds it for too long."""
        self._learning.acquire()

    def keep_learning(self) -> None:
        """Hold the lock for learning, if it is held, until `release`."""
        self._learning.keep()

    def begin_arrival(self) -> None:
        """Wait until no other board turns to the host.

        Without the lock, another board's stick may arrive at the same time; then one more round tells.
        """
        if not self._is_alone:
            with suppress(StorageError):
                self._arrival.acquire()

    def end_arrival(self, after_host_s: float = _APART_S) -> None:
        """Let another board turn to the host as soon as the two arrivals cannot be confused.

        Args:
            after_host_s: Seconds since this board turned to the host.
        """
        if after_host_s >= _APART_S and not self._is_alone:
            self._arrival.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other boards from learning and from turning to the host in a block.

        A stick that another mux takes away during the block cannot come back before it ends.

        Raises:
            StorageError: Another board holds one of the locks for too long.
        """
        if not self._learning.keep():
            self._learning.acquire(kept=True)
        self._arrival.acquire(kept=True)
        self._is_alone = True
        try:
            yield
        finally:
            self._is_alone = False
            self._arrival.release()

    def release(self) -> None:
        """Release both locks, so that other boards can learn; harmless when repeated."""
        self._learning.release()
        self._arrival.release()


def _open_folder(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise translate(error, ErrorSource.STICK, f"the folder {path} cannot be opened") from error


def _lock(folder: int, path: Path, purpose: str) -> None:
    def taken() -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    if not taken() and not _waited_for(taken, path, purpose):
        raise StorageError(
            f"another process, whose board {purpose}, has kept {path} locked for {_WAIT_LIMIT_S:.0f} s",
            why="two boards' sticks that appear at once cannot be told apart",
            remedy=f"end it; fuser -v {path} names it",
        )


def _waited_for(taken: Callable[[], bool], path: Path, purpose: str) -> bool:
    """Wait until `taken`, outside of the test's time limit: the other board is the cause of the wait."""
    with outer_limit.suspended():
        if until(taken, min(_TOLD_AFTER_S, _WAIT_LIMIT_S)):
            return True
        logger.warning("another board %s, with %s locked: waiting until it has ended", purpose, path)
        return until(taken, _WAIT_LIMIT_S - _TOLD_AFTER_S) is not None
