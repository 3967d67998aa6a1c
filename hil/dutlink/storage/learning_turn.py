"""The turn of one board to learn which disk is its stick; other boards of the host that must learn wait."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.dutlink.timing import outer_limit, until
from hil.dutlink.usb.error_mapping import ErrorSource, translate
from hil.errors import StorageError
from hil.forked_child import OwnDescriptors, forget_on_fork

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Turn"]

_LOG = logging.getLogger(__name__)

_TURN_LIMIT_S = 90.0
"""Seconds for a board to learn with strangers' disks around; others wait for so long."""

_TOLD_AFTER_S = 2.0


class Turn:
    """The turn, which ends by itself after a while, so that a caller that forgets it does not block others.

    It is a kernel lock on the host's device folder, which needs no file and ends with its holder.

    Args:
        dev: The host's device folder.
        limit_s: How long it lasts at most, in seconds, unless it is kept.
    """

    def __init__(self, dev: Path, limit_s: float) -> None:
        self._dev = dev
        self._limit_s = limit_s
        self._folder: OwnDescriptors | None = None
        self._ends: threading.Timer | None = None
        self._changing = threading.RLock()
        forget_on_fork(self)

    @property
    def is_held(self) -> bool:
        """Whether the turn has begun and not ended."""
        return self._folder is not None

    def take(self) -> None:
        """Begin the turn after waiting for other boards to end theirs; a test's time limit stands still then.

        Raises:
            StorageError: Another board's turn does not end.
        """
        self.end()
        descriptor = _opened(self._dev)
        folder = OwnDescriptors(descriptor)
        try:
            _lock(descriptor, self._dev)
            timer = threading.Timer(self._limit_s, self._end_turn_of, (folder,))
            timer.daemon = True
            with self._changing:
                self._folder, self._ends = folder, timer
            timer.start()
        except BaseException:  # Ctrl-C as well: a lock that stays would block this process itself
            folder.close()
            self._end_turn_of(folder)
            raise

    def keep(self) -> None:
        """Let it last until it is ended."""
        with self._changing:
            if self._ends is not None:
                self._ends.cancel()

    def end(self) -> None:
        """End it; harmless when it ended already, and when two threads do it at once."""
        with self._changing:
            if self._ends is not None:
                self._ends.cancel()
            if self._folder is not None:
                self._folder.close()
            self._folder = self._ends = None

    def close(self) -> None:
        """Forget the turn in a forked child, whose copy of the lock is closed without this object."""
        self._changing = threading.RLock()  # another thread may have held it when the child was forked
        self._folder = self._ends = None

    def _end_turn_of(self, folder: OwnDescriptors) -> None:
        """End the turn that holds this folder: a late timer must not end the next turn."""
        with self._changing:
            if self._folder is folder:
                self.end()


def _opened(dev: Path) -> int:
    try:
        return os.open(dev, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise translate(error, ErrorSource.STICK, f"the device folder {dev} cannot be opened") from error


def _lock(folder: int, dev: Path) -> None:
    def taken() -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    if not taken() and not _waited_for(taken, dev):
        raise StorageError(
            f"another process has been looking for its stick in {dev} for {_TURN_LIMIT_S:.0f} s",
            why="two boards' sticks that appear at once cannot be told apart",
            remedy=f"end it; fuser -v {dev} names it",
        )


def _waited_for(taken: Callable[[], bool], dev: Path) -> bool:
    """Wait until `taken`; how long the other board needs is no fault of the test that waits."""
    with outer_limit.suspended():
        if until(taken, min(_TOLD_AFTER_S, _TURN_LIMIT_S)):
            return True
        _LOG.warning("another board looks for its stick in %s: waiting until it has ended", dev)
        return until(taken, _TURN_LIMIT_S - _TOLD_AFTER_S) is not None
