"""Find out for which boards a waiting process is first in line; skip earlier ones that do not take theirs.

The line is all processes that wait, in the order in which they came (`tickets.py`). A board is promised to
all processes in line that it would do for: a later one leaves it alone, even while it is free.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.lab.locks.inotify import FileWatch
    from hil.lab.locks.lock_file import LockFile
    from hil.lab.locks.tickets import NoQueue, QueueEntry, Ticket

__all__ = ["ChangeWatch", "WaitLine"]

SKIP_AFTER_S = 3.0
"""Skip an earlier waiter that was stopped for this time, or has not taken a free board within it."""


class WaitLine:
    """The processes ahead of one that waits.

    Args:
        queue: The place of this process in the queue.
        watch: Knows for how long the locks of the boards have not changed.

    Attributes:
        ahead: Earlier waiters, the earliest first, without those that were stopped for `SKIP_AFTER_S`.
    """

    def __init__(self, queue: QueueEntry | NoQueue, watch: ChangeWatch) -> None:
        self.ahead: list[Ticket] = []
        self._queue = queue
        self._watch = watch
        self._stopped_since: dict[int, float] = {}  # by the number of the ticket
        self._skipped: list[Ticket] = []

    def update(self) -> None:
        """Look who is ahead now.

        Skipped waiters do not change the order of the others, and the line goes on although lock files
        change all the time.
        """
        ahead = self.ahead = self._queue.ahead()
        if not ahead:
            return
        from hil.lab.locks.stopped_guards import is_stopped  # noqa: PLC0415 - for processes that wait

        now = time.monotonic()
        stopped = [ticket for ticket in ahead if is_stopped(ticket.holder.pid)]
        self._stopped_since = {one.number: self._stopped_since.get(one.number, now) for one in stopped}
        self._skipped = [one for one in stopped if now - self._stopped_since[one.number] >= SKIP_AFTER_S]
        self.ahead = [ticket for ticket in ahead if ticket not in self._skipped]

    def is_first_for(self, serial: str) -> bool:
        """Return True if no earlier waiter wants a board."""
        return not any(serial in ticket.serials for ticket in self.ahead)

    def lock_overdue(self, serial: str, lock: LockFile) -> bool:
        """Lock a board that is promised to earlier waiters, if it has been free for `SKIP_AFTER_S` for each.

        So a waiter is skipped that does not run but is not seen to be stopped, such as one that is frozen or
        in another container. Every release of a lock changes its file, so an unchanged file proves that the
        board was free all the time. Skipped waiters count, because the waiters ahead may still wait for them.
        """
        waiters = sum(serial in ticket.serials for ticket in (*self._skipped, *self.ahead))
        quiet_s = self._watch.quiet_s(lock.descriptor)
        if quiet_s < SKIP_AFTER_S * waiters or self._waits_for_several(serial) or not lock.try_lock():
            return False
        if self._watch.has_changed(lock.descriptor):
            lock.unlock()
            return False
        return True

    def _waits_for_several(self, serial: str) -> bool:
        """Return True if an earlier waiter that runs needs a board together with others.

        It does not take the board while they are in use.
        """
        recent_ns = time.monotonic_ns() - int(SKIP_AFTER_S * 1e9)
        several = (ticket for ticket in self.ahead if ticket.needs > 1 and ticket.alive_ns > recent_ns)
        return any(serial in ticket.serials for ticket in several)


class ChangeWatch:
    """A `FileWatch` of files that may be opened again; knows for how long each has not changed.

    It watches from the first `wait` on: earlier changes were not reported.
    """

    def __init__(self) -> None:
        self._watch: FileWatch | None = None
        self._watched: dict[int, int] = {}  # the inode of each watched descriptor
        self._quiet_since: dict[int, float] = {}

    def wait(self, descriptors: Iterable[int], limit_s: float) -> bool:
        """Sleep until one of the files changes, and return True if one did.

        Returns True at once when the files are watched for the first time, or were opened again.

        Args:
            descriptors: The files; negative for a file that is not open.
            limit_s: How long to wait, in seconds.
        """
        watched = {descriptor: os.fstat(descriptor).st_ino for descriptor in descriptors if descriptor >= 0}
        if self._watch is None or watched != self._watched:
            from hil.lab.locks.inotify import FileWatch  # noqa: PLC0415 - for processes that wait

            self.close()
            self._watch, self._watched = FileWatch(watched), watched
            self._quiet_since.clear()
            return True
        return bool(self._changed(self._watch, limit_s))

    def quiet_s(self, descriptor: int) -> float:
        """Return for how long a file has not changed, in seconds; 0 if changes are not reported."""
        if self._watch is None or self._watch.is_polling:
            return 0.0
        now = time.monotonic()
        return now - self._quiet_since.setdefault(descriptor, now)

    def has_changed(self, descriptor: int) -> bool:
        """Return True if a file has changed since the last `wait`; then `quiet_s` counts from now."""
        return self._watch is not None and descriptor in self._changed(self._watch, 0.0)

    def _changed(self, watch: FileWatch, limit_s: float) -> frozenset[int]:
        changed = watch.wait(limit_s)
        self._quiet_since.update(dict.fromkeys(changed, time.monotonic()))
        return changed

    def close(self) -> None:
        """Stop watching; harmless when repeated."""
        if self._watch is not None:
            self._watch.close()
