"""Acquire one lease, or several at once, and wait in line if the boards are not free.

Processes that wait are served in the order in which they came. A process that waits for one of several
boards takes any that is free and that no earlier process in line waits for. A process that needs several
boards takes all of them at once, and holds none while it waits: so no two processes wait for each other.
Later processes leave the boards that it waits for, so it is served when the last of them is released.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hil.dutlink.timing import Backoff
from hil.errors import SpoiltFileError, UsageError
from hil.lab.locks.choice import choose, is_possible
from hil.lab.locks.first_in_line import ChangeWatch, WaitLine
from hil.lab.locks.holder import Holder
from hil.lab.locks.lease import Lease
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import LockFile, lock_file_problem, lock_path
from hil.lab.locks.node_lock import NodeLock
from hil.lab.locks.tickets import NoQueue, QueueEntry
from hil.open_descriptors import keep_standard_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hil.dutlink.host import Host
    from hil.errors import BoardBusyError
    from hil.lab.locks.wait_status import WaitStatus

__all__ = ["acquire", "acquire_all"]

_LOG = logging.getLogger(__name__)

DECIDE_S = 0.1
"""A process with `wait_s=0` still waits this long if an earlier process in line may take the board."""

GUARDS_EVERY_S = 5.0
"""How often a waiting process looks for stopped guards of dead holders."""

LOOK_AGAIN_S = 1.0
"""Seconds for which to wait again if `waits_on` says so."""

FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 1.0
"""The longest sleep between two attempts while no file changes; a change wakes the process at once."""


def acquire(  # noqa: PLR0913 - by keyword, and most are left out
    *serials: str,
    wait_s: float = 0.0,
    test: str = "",
    on_wait: Callable[[WaitStatus], None] | None = None,
    folder: Path | None = None,
    host: Host | None = None,
    wait_option: str = "--hil-wait",
) -> Lease:
    """Acquire the first of these boards that is free; if none is, wait in line up to `wait_s` seconds.

    Args:
        serials: The boards that would do, the preferred one first.
        wait_s: See `acquire_all`, as for the other arguments.
        test: What the board is used for.
        on_wait: Called while the process waits.
        folder: The folder of the lock files.
        host: Where the boards are plugged in.
        wait_option: The option with which the user sets `wait_s`.

    Raises:
        BoardBusyError: All stayed in use; the error names their holders.
        UsageError: The folder of the lock files cannot be used, or there are no `serials`.
    """
    (lease,) = acquire_all(
        [serials],
        wait_s=wait_s,
        test=test,
        on_wait=on_wait,
        folder=folder,
        host=host,
        wait_option=wait_option,
    )
    return lease


def acquire_all(  # noqa: PLR0913 - by keyword, and most are left out
    choices: Sequence[Sequence[str]],
    *,
    wait_s: float = 0.0,
    waits_on: Callable[[], bool] = lambda: False,
    test: str = "",
    on_wait: Callable[[WaitStatus], None] | None = None,
    folder: Path | None = None,
    host: Host | None = None,
    wait_option: str = "--hil-wait",
) -> list[Lease]:
    """Acquire one board for each choice, all at once; if that is not possible, wait in line.

    Args:
        choices: For each board that is needed, the boards that would do, the preferred one first.
        wait_s: How long to wait. This process holds none of the boards while it waits.
        waits_on: Called when that time has passed, and each second from then on: whether to wait on.
        test: What the boards are used for, for other users to read.
        on_wait: Called when the wait begins, and when the holders or the earlier waiters change.
        folder: The folder of the lock files; None for the machine's own folder.
        host: Where the boards are plugged in: their device nodes are locked as well, so that processes with
            different lock folders meet. None for boards of other machines.
        wait_option: The option with which the user sets `wait_s`, for the error.

    Returns:
        A lease for each choice, in their order.

    Raises:
        BoardBusyError: Boards stayed in use; the error names their holders.
        UsageError: The folder of the lock files cannot be used, or there are fewer boards than choices.
    """
    if not choices or not is_possible(choices):
        raise UsageError("no board to acquire", why="there are fewer serial numbers than boards to acquire")
    keep_standard_streams()
    wait = _Wait(folder or lock_folder(), choices, Holder.here(test), host)
    with ExitStack() as undone:
        undone.callback(wait.close)
        leases: list[Lease] = []
        for serial in wait.take(wait_s, waits_on, on_wait, wait_option):
            lease = Lease(serial, wait.locks[serial], Holder.here(test))
            undone.callback(lease.release_untouched)
            del wait.locks[serial]
            lease.killed_guards = wait.killed_guards.get(serial, ())
            leases.append(lease)
        undone.pop_all()
    wait.close()
    return leases


def _join_queue(folder: Path, serials: Sequence[str], holder: Holder, needs: int) -> QueueEntry | NoQueue:
    try:
        return QueueEntry(folder, serials, holder, needs)
    except SpoiltFileError as error:
        _LOG.warning("the queue of waiting processes cannot be used: %s", error)
        return NoQueue()


class _Wait:
    """One wait, from joining the queue to leaving it."""

    def __init__(
        self, folder: Path, choices: Sequence[Sequence[str]], holder: Holder, host: Host | None
    ) -> None:
        serials = tuple(dict.fromkeys(serial for some in choices for serial in some))
        self.locks: dict[str, LockFile] = {}
        self.killed_guards: dict[str, tuple[int, ...]] = {}
        self._folder = folder
        self._host = host
        self._choices = choices
        self._not_free: set[str] = set()  # at the last attempt
        self._watch = ChangeWatch()
        self._look_for_guards_at = 0.0
        self._queue = _join_queue(folder, serials, holder, len(choices))
        self._line = WaitLine(self._queue, self._watch)
        try:
            self._open_locks(folder, serials)
        except BaseException:
            self.close()
            raise

    def _open_locks(self, folder: Path, serials: Sequence[str]) -> None:
        """Open the lock of each board, except of boards whose lock file another user spoilt."""
        errors: list[SpoiltFileError] = []
        for serial in serials:
            node = NodeLock(self._host, serial) if self._host else None
            try:
                self.locks[serial] = LockFile(lock_path(folder, serial), node=node)
            except SpoiltFileError as error:
                errors.append(error)
                continue
            if (problem := lock_file_problem(folder, serial)) is not None:  # a spare name is locked instead
                _LOG.warning("board %s: %s", serial, problem)
        if choose(self._choices, self.locks) is None:
            raise errors[0]

    def close(self) -> None:
        """Leave the queue, and close the locks of the boards that were not taken."""
        for opened in (self._watch, *self.locks.values(), self._queue):
            opened.close()

    def take(
        self,
        wait_s: float,
        waits_on: Callable[[], bool],
        on_wait: Callable[[WaitStatus], None] | None,
        wait_option: str,
    ) -> list[str]:
        """Lock a board for each choice, and return their serial numbers."""
        began = time.monotonic()
        backoff, told = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S), None
        while (serials := self._try()) is None:
            self._queue.show_alive()
            is_first = all(self._line.is_first_for(serial) for serial in self.locks)
            left_s = began + max(wait_s, 0.0 if is_first else DECIDE_S) - time.monotonic()
            if self._kill_stopped_guards(last=left_s <= 0):
                continue
            if left_s <= 0:
                if not waits_on():
                    raise self._busy_error(wait_s, wait_option)
                wait_s, left_s = time.monotonic() - began + LOOK_AGAIN_S, LOOK_AGAIN_S
            if on_wait is not None and wait_s > 0 and (status := self._status()).is_news_after(told):
                told = status
                on_wait(status)
            if self._wait_for_change(min(left_s, backoff.next())):
                backoff.reset()
        return serials

    def _kill_stopped_guards(self, *, last: bool) -> bool:
        """Kill stopped guards that keep the board of a dead holder locked; return True if there was one.

        Args:
            last: Look now, even if the last look was a moment ago.
        """
        now = time.monotonic()
        if now < self._look_for_guards_at and not last:
            return False
        self._look_for_guards_at = now + GUARDS_EVERY_S
        from hil.lab.locks.stopped_guards import end_stopped_guards  # noqa: PLC0415 - for processes that wait

        found = False
        for serial, lock in self.locks.items():
            if lock.descriptor >= 0 and (pids := end_stopped_guards(lock.descriptor)):
                _LOG.warning(
                    "board %s: its holder is dead; killed its guard %s, which was stopped", serial, pids
                )
                self.killed_guards[serial] = tuple(pids)
                found = True
        return found

    def _wait_for_change(self, limit_s: float) -> bool:
        """Sleep until a lock file or the queue changes, and return True if one did; see `ChangeWatch`."""
        locks = (lock.descriptor for lock in self.locks.values())
        return self._watch.wait([self._queue.descriptor, *locks], limit_s)

    def _try(self) -> list[str] | None:
        """Lock a board for each choice and return their serial numbers, or lock none and return None.

        The boards that were not free at the last attempt are tried first, so a process that cannot get all
        its boards locks none: each unlock would wake the other waiters.
        """
        self._line.update()
        usable, locked = set(self.locks), list[str]()
        for serial in sorted(self.locks, key=lambda one: one not in self._not_free):
            if choose(self._choices, usable) is None:
                break
            if self._lock(serial):
                self._not_free.discard(serial)
                locked.append(serial)
            else:
                self._not_free.add(serial)
                usable.remove(serial)
            if (chosen := choose(self._choices, locked)) is not None:
                self._unlock(set(locked).difference(chosen))
                return chosen
        self._unlock(locked)
        return None

    def _lock(self, serial: str) -> bool:
        """Lock a board for which this process is first in line, or for which those ahead were too slow."""
        lock = self.locks[serial]
        if self._line.is_first_for(serial):
            return lock.try_lock()
        return self._line.lock_overdue(serial, lock)

    def _unlock(self, serials: Iterable[str]) -> None:
        for serial in serials:
            self.locks[serial].unlock()

    def _busy_error(self, wait_s: float, wait_option: str) -> BoardBusyError:
        locks = ((serial, lock.descriptor) for serial, lock in self.locks.items())
        files = {serial: os.fstat(descriptor) for serial, descriptor in locks if descriptor >= 0}
        return self._status().busy_error(len(self._choices), wait_s, wait_option, files)

    def _status(self) -> WaitStatus:
        from hil.lab.locks.wait_status import WaitStatus  # noqa: PLC0415 - for processes that wait

        holders = tuple(
            (serial, Holder.from_json(lock.read()))
            for serial, lock in self.locks.items()
            if serial in self._not_free
        )
        ahead = (
            ticket.holder for ticket in self._line.ahead if not self.locks.keys().isdisjoint(ticket.serials)
        )
        taken = ((serial, lock.node.taken) for serial, lock in self.locks.items() if lock.node)
        elsewhere = [
            (serial, f"held at {what}, without a lock file in {self._folder}: give both one HIL_LOCK_DIR")
            for serial, what in taken
            if what
        ]
        return WaitStatus(holders, tuple(ahead), tuple(elsewhere))
