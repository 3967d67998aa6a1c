"""The exclusive right to one board, on this machine, for as long as a process holds it.

The firmware knows no leases: a board answers every process. The right is a kernel lock for each serial
number, and a line of waiting processes: first come, first served. A wait for one of several boards takes any
that is free and that no earlier process in line waits for.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from hil.dutlink.inherited_lease import LENT, hash_of, new_word, wait_for_requests
from hil.dutlink.standard_streams import keep_standard_streams
from hil.errors import BoardBusyError, SpoiltFileError, UsageError
from hil.lab.locks.holder import Holder
from hil.lab.locks.inotify import Backoff, FileWatch
from hil.lab.locks.lease_token import ENDS, end_borrowers
from hil.lab.locks.lock_file import CONTENT_BYTES, LockFile, lock_folder
from hil.lab.locks.node_lock import NodeLock
from hil.lab.locks.shared_file import read_shared, shared_file_problem
from hil.lab.locks.wait_queue import NoQueue, QueueEntry
from hil.lab.safe_state.record import BoardRecord, BoardState, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from hil.dutlink.host import Host
    from hil.lab.locks.wait_queue import Ticket

__all__ = [
    "Holder",
    "Lease",
    "WaitStatus",
    "acquire",
    "acquire_any",
    "holder_of",
    "lock_file_problem",
    "lock_path",
]

_LOG = logging.getLogger(__name__)

LOCK_FILES = "hil-board-*.lock"
"""What the lock files of all boards are called, for `glob`."""

SPARE_NAMES = 3
"""How many spare names a lock file has if another user took its first name."""

DECIDE_S = 0.1
"""How long processes ahead in line may take to decide before one that will not wait is refused."""

GUARDS_EVERY_S = 5.0
"""How often a process that waits looks for stopped guards of dead holders."""

PATIENCE_S = 3.0
"""Skip the first waiter if it has not taken a free board within this time: it is stopped or stuck."""


def lock_path(folder: Path, serial: str) -> Path:
    """Where a board's lock file is: the first of its names that nothing else has taken."""
    first = _lock_name(folder, serial)
    others = (_lock_name(folder, serial, f".{number}") for number in range(2, 2 + SPARE_NAMES))
    return next(
        (path for path in itertools.chain((first,), others) if shared_file_problem(path) is None), first
    )


def lock_file_problem(folder: Path, serial: str) -> SpoiltFileError | None:
    """Return what another user put in the place of a board's lock file; None if there is no such thing."""
    return shared_file_problem(_lock_name(folder, serial))


def _lock_name(folder: Path, serial: str, spare: str = "") -> Path:
    return folder / f"hil-board-{serial}{spare}.lock"


def holder_of(folder: Path, serial: str) -> Holder | None:
    """Return what a board's lock file says of its holder; None if it says nothing that can be read."""
    try:
        return Holder.from_json(read_shared(lock_path(folder, serial), CONTENT_BYTES))
    except (OSError, SpoiltFileError):
        return None


@dataclass(frozen=True, slots=True)
class WaitStatus:
    """What a wait for a board can tell its user.

    Attributes:
        holders: Each board that would do, and its holder; None if the lock file names none.
        ahead: Earlier waiters that could take one of them, the earliest first.
        elsewhere: Each board that is held under a lock file of another folder, and by which process.
    """

    holders: tuple[tuple[str, Holder | None], ...]
    ahead: tuple[Holder, ...]
    elsewhere: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        elsewhere = dict(self.elsewhere)
        boards = "; ".join(
            f"board {serial} is {holder or elsewhere.get(serial) or 'in use'}"
            for serial, holder in self.holders
        )
        first = f"; {len(self.ahead)} ahead in line, first {self.ahead[0].name}" if self.ahead else ""
        return boards + first


class Lease:
    """The exclusive right to one board; a `with` block gives it back.

    Made by `acquire` and `acquire_any`.

    Attributes:
        serial: The board.
        holder: This process, as others read it.
        lock: The board's lock.
        killed_guards: The pids of stopped guards of a dead holder that were killed to get the board.
        killed_holder: The last holder, if it never gave the board back: it was killed.
    """

    def __init__(self, serial: str, lock: LockFile, holder: Holder) -> None:
        self.serial = serial
        self.holder = holder
        self.lock = lock
        self._lent: dict[str, object] = {}
        self.killed_guards: tuple[int, ...] = ()
        self._only_looks = False
        self._found = content = lock.read()
        self.killed_holder = Holder.from_json(content)
        end_borrowers(content)  # of a `hil lease` that was killed together with its guard
        self._write()
        wait_for_requests(lock.descriptor)

    def record(self) -> BoardRecord:
        """Return the board's record as it was found.

        The last holder's name in the lock file says that its lease was never ended. If the record says
        nothing of the board's state, or was removed since, the board counts as in use by that holder.
        """
        record = read_record(self.lock.path.parent, self.serial)
        if self.killed_holder is None or record.state is not BoardState.UNKNOWN:
            return record
        return record.marked_in_use(self.killed_holder)

    def leave_untouched(self) -> None:
        """Do nothing to the board under this lease: its lock file goes on naming a holder that was killed."""
        self._only_looks = True

    def note(self, test: str) -> None:
        """Write into the lock file what the board is used for now."""
        self.holder = replace(self.holder, test=test)
        self._write()

    def lend(self, *, ends_borrowers: bool) -> str:
        """Return a word by which other processes use the board under this lease, as long as it lasts.

        The lock file, which every user may read, has the word's SHA-256 only.

        Args:
            ends_borrowers: Whether those processes end with the lease, also when this process is killed.
        """
        word = new_word(str(self.lock.path.absolute()))
        self._lent = {LENT: hash_of(word), ENDS: ends_borrowers}
        self._write()
        return word

    def end_lending(self) -> None:
        """Let no other process use the board any more; returns when no request of theirs is under way."""
        if self._lent:
            self._lent = {}
            self._write()
            wait_for_requests(self.lock.descriptor)

    def _write(self) -> None:
        self.lock.write(json.dumps({**self.holder.to_data(), **self._lent}).encode())

    def release(self) -> None:
        """Give the board back; harmless when repeated."""
        if self._only_looks and self.killed_holder is not None and self.lock.descriptor >= 0:
            self.lock.write(self._found)
            self.lock.give_back()
            self.lock.close()
        self.lock.unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(  # noqa: PLR0913 - by keyword, and most are left out
    serial: str,
    *,
    wait_s: float = 0.0,
    test: str = "",
    on_wait: Callable[[WaitStatus], None] | None = None,
    folder: Path | None = None,
    host: Host | None = None,
) -> Lease:
    """Hold one board; see `acquire_any`."""
    return acquire_any([serial], wait_s=wait_s, test=test, on_wait=on_wait, folder=folder, host=host)


def acquire_any(  # noqa: PLR0913 - by keyword, and most are left out
    serials: Sequence[str],
    *,
    wait_s: float = 0.0,
    test: str = "",
    on_wait: Callable[[WaitStatus], None] | None = None,
    folder: Path | None = None,
    host: Host | None = None,
) -> Lease:
    """Hold the first of these boards that is free, waiting in line up to `wait_s` seconds if none is.

    Args:
        serials: The boards that would do, the preferred one first.
        wait_s: How long to wait.
        test: What it is held for, for others to read.
        on_wait: Called when the wait begins, and when the holders or the earlier waiters change.
        folder: Where the locks are; None: the machine's own folder.
        host: Where the boards are plugged in: their device nodes are locked as well, so that processes with
            different folders meet. None: for boards of other machines.

    Raises:
        BoardBusyError: All stayed held; the error names their holders.
        UsageError: The folder of the lock files cannot be used, or no board was named.
    """
    if not serials:
        raise UsageError("no board to hold", why="the list of serial numbers is empty")
    keep_standard_streams()
    wait = _Wait(folder or lock_folder(), serials, Holder(test=test), host)
    try:
        serial = wait.take(wait_s, on_wait)
        lease = Lease(serial, wait.locks[serial], Holder(test=test))
        lease.killed_guards = wait.killed_guards.get(serial, ())
        del wait.locks[serial]
        return lease
    finally:
        wait.close()


def _place_in_line(folder: Path, serials: Sequence[str], who: Holder) -> QueueEntry | NoQueue:
    try:
        return QueueEntry(folder, serials, who)
    except SpoiltFileError as error:
        _LOG.warning("the line of those who wait cannot be used: %s", error)
        return NoQueue()


class _Wait:
    """One wait, from joining the line to leaving it."""

    def __init__(self, folder: Path, serials: Sequence[str], who: Holder, host: Host | None) -> None:
        self.locks: dict[str, LockFile] = {}
        self._folder = folder
        self._host = host
        self._bell: FileWatch | None = None
        self._watched: dict[int, int] = {}  # the inode of each descriptor that the bell watches
        self._ahead: list[Ticket] = []
        self._quiet_since: dict[int, float] = {}
        self._look_for_guards_at = 0.0
        self.killed_guards: dict[str, tuple[int, ...]] = {}
        self._line = _place_in_line(folder, serials, who)
        try:
            self._open_locks(folder, serials)
        except BaseException:
            self.close()
            raise

    def _open_locks(self, folder: Path, serials: Sequence[str]) -> None:
        """Open the lock of each board; one that another user spoilt takes away that board alone."""
        errors: list[SpoiltFileError] = []
        for serial in serials:
            node = NodeLock(self._host, serial) if self._host else None
            try:
                self.locks[serial] = LockFile(lock_path(folder, serial), node=node)
            except SpoiltFileError as error:
                errors.append(error)
                continue
            first = self.locks[serial].path == _lock_name(folder, serial)
            if not first and (trouble := lock_file_problem(folder, serial)) is not None:
                _LOG.warning("board %s: %s", serial, trouble)
        if not self.locks:
            raise errors[0]

    def close(self) -> None:
        """Leave the line, and those boards that were not taken."""
        for held in (self._bell, *self.locks.values(), self._line):
            if held is not None:
                held.close()

    def take(self, wait_s: float, on_wait: Callable[[WaitStatus], None] | None) -> str:
        """Return the serial number of the board whose lock was taken."""
        began = time.monotonic()
        pauses, told = Backoff(), None
        while (serial := self._try()) is None:
            left_s = began + max(wait_s, DECIDE_S if self._blocked() else 0.0) - time.monotonic()
            if self._ended_stopped_guards(last=left_s <= 0):
                continue
            if left_s <= 0:
                raise self._busy(wait_s)
            if on_wait is not None and wait_s > 0 and (news := self._news()) != told:
                told = news
                on_wait(news)
            if self._listen(min(left_s, pauses.next())):
                pauses.reset()
        return serial

    def _ended_stopped_guards(self, *, last: bool) -> bool:
        """End stopped guards that keep the board of a dead holder locked; return True if there was one.

        Args:
            last: Look now, however long the last look was ago.
        """
        now = time.monotonic()
        if now < self._look_for_guards_at and not last:
            return False
        self._look_for_guards_at = now + GUARDS_EVERY_S
        from hil.lab.guard.stopped_guards import end_stopped_guards  # noqa: PLC0415 - for who waits

        ended = False
        for serial, lock in self.locks.items():
            if lock.descriptor >= 0 and (pids := end_stopped_guards(lock.descriptor)):
                _LOG.warning(
                    "board %s: its holder is dead; killed its guard %s, which was stopped", serial, pids
                )
                self.killed_guards[serial] = tuple(pids)
                ended = True
        return ended

    def _listen(self, limit_s: float) -> bool:
        """Sleep until a bell rings.

        Returns True at once when the first bell, or one for files that were opened again, begins to watch:
        earlier changes went unheard.
        """
        descriptors = [self._line.descriptor, *(lock.descriptor for lock in self.locks.values())]
        watched = {descriptor: os.fstat(descriptor).st_ino for descriptor in descriptors if descriptor >= 0}
        if self._bell is None or watched != self._watched:
            if self._bell is not None:
                self._bell.close()
            self._bell, self._watched = FileWatch(watched), watched
            self._quiet_since.clear()
            return True
        rung = self._bell.wait(limit_s)
        self._quiet_since.update(dict.fromkeys(rung, time.monotonic()))
        return bool(rung)

    def _try(self) -> str | None:
        self._ahead = self._line.ahead()
        for serial, lock in self.locks.items():
            take = self._try_overdue if self._is_promised(serial) else LockFile.try_lock
            if take(lock):
                return serial
        return None

    def _is_promised(self, serial: str) -> bool:
        return any(serial in ticket.serials for ticket in self._ahead)

    def _try_overdue(self, lock: LockFile) -> bool:
        """Lock a board that is promised to an earlier waiter, if it was free for `PATIENCE_S` already.

        The bell rings before a lock is given up: silence means that the board was free all the time.
        """
        if self._bell is None or self._bell.is_polling:
            return False
        now = time.monotonic()
        if now - self._quiet_since.setdefault(lock.descriptor, now) < PATIENCE_S or not lock.try_lock():
            return False
        if lock.descriptor not in self._bell.wait(0):
            return True
        self._quiet_since[lock.descriptor] = now
        lock.give_back()
        return False

    def _blocked(self) -> bool:
        return any(self._is_promised(serial) for serial in self.locks)

    def _news(self) -> WaitStatus:
        holders = tuple((serial, Holder.from_json(lock.read())) for serial, lock in self.locks.items())
        ahead = (ticket.who for ticket in self._ahead if not self.locks.keys().isdisjoint(ticket.serials))
        taken = ((serial, lock.node.taken) for serial, lock in self.locks.items() if lock.node)
        elsewhere = [
            (serial, f"held at {what}, without a lock file in {self._folder}: give both one HIL_LOCK_DIR")
            for serial, what in taken
            if what
        ]
        return WaitStatus(holders, tuple(ahead), tuple(elsewhere))

    def _busy(self, wait_s: float) -> BoardBusyError:
        from hil.lab.guard.stopped_guards import stopped_guard_of  # noqa: PLC0415 - as above

        news = self._news()
        serials = ", ".join(self.locks)
        for serial, holder in news.holders:
            if holder is not None and (guard := stopped_guard_of(holder)) is not None:
                return BoardBusyError(
                    f"board {serial} is locked by a guard that was stopped",
                    why=f"its holder {holder.name} has ended; its guard (pid {guard.pid}, uid {guard.uid}) "
                    "was stopped before it made the board safe, and this user may not kill it",
                    remedy=guard.remedy,
                    serial=serial,
                )
        return BoardBusyError(
            f"board {serials} is in use" if len(self.locks) == 1 else f"boards {serials} are in use",
            why=f"{str(news).removeprefix(f'board {serials} is ')}; waited {wait_s:g} s",
            remedy="wait longer (--hil-wait SECONDS), or ask them to end that run",
            serial=next(iter(self.locks)),
        )
