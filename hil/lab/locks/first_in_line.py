"""Find out for which boards a waiting process is first in line; skip earlier ones that do not take theirs.

The line is all processes that wait, in the order in which they came (`tickets.py`). A board is promised to
all processes in line that it would do for: a later one leaves it alone, even while it is free.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.lab.locks.inotify import ChangeWatch
    from hil.lab.locks.lock_file import LockFile
    from hil.lab.locks.tickets import NoQueue, QueueEntry, Ticket

__all__ = ["WaitLine"]

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
