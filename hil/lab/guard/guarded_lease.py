"""A lease that no other process can get before the board is safe, whatever ends its holder.

    wait in line -> lock -> mark "in use" -> guard runs -> made safe, if the last one left it otherwise
    -> use -> made safe by the holder -> mark "safe" -> "released" -> unlock

A holder that dies anywhere in between leaves the rest to its guard; if that dies at the same moment, the mark
tells the next holder.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Never, Self

from hil.errors import BoardLostError, BoardUnsafeError, GuardError, SpoiltFileError
from hil.forked_child import forget_on_fork
from hil.lab.guard.guard import Guard
from hil.lab.guard.recovery import GuardTask
from hil.lab.locks.relock import recreate_folder, relock_file, relock_node
from hil.lab.safe_state.policy import Safety, attempt
from hil.lab.safe_state.record import (
    BoardRecord,
    BoardState,
    SafetyEvent,
    read_record,
    record_path,
    write_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from hil.lab.locks.lease import Holder, Lease

__all__ = ["GuardedLease", "make_safe_now", "make_safe_unleased", "under_guard"]


class GuardedLease:
    """The exclusive right to one board, with a guard beside its holder.

    A `with` block that ends without an error gives the board back, and thereby says that it is safe. A block
    that ends with an error leaves the board to the guard. Made by `under_guard`.

    Attributes:
        serial: The board.
        found: Its record when the lease began: its last holder, and what the guard did or could not do.
        made_safe: What was done before it was handed out; None: it had been left safe, or nothing was
            known of it and its DUT was off.
        on_guard_lost: Called, in another thread, when the guard ended and no other can be started: the holder
            must use the board no more. After that the board is made safe by this process.
    """

    def __init__(self, lease: Lease, guard: Guard | None, found: BoardRecord, drivers: int = -1) -> None:
        self.serial = lease.serial
        self.found = self._known = found
        self.made_safe: SafetyEvent | None = None
        self.on_guard_lost: Callable[[GuardError], None] = lambda _error: None
        self._lease = lease
        self._guard = guard
        self._drivers = drivers
        self._folder = lease.lock.path.parent
        self._safety = Safety()
        self._guard_error: GuardError | None = None
        self._new_guard: Callable[[], Guard] | None = None
        self._ending = threading.RLock()
        forget_on_fork(self)

    @property
    def folder(self) -> Path:
        """The folder of its lock and its record."""
        return self._folder

    @property
    def holder(self) -> Holder:
        """The holder, as other processes read it in the lock file."""
        return self._lease.holder

    @property
    def guard(self) -> Guard | None:
        """The guard; None where the place's DUT is to be left alone."""
        return self._guard

    @property
    def guard_error(self) -> GuardError | None:
        """Why the board may be used no more: its guard ended and no other can be started; else None."""
        return self._guard_error

    def note(self, test: str) -> None:
        """Write into the lock file what the board is used for now; lock the file again if it was removed.

        Raises:
            BoardBusyError: The lock file was removed or replaced, and another process holds the board now.
            SpoiltFileError: The same; what has its name now is no file.
            GuardError: The same; no guard can run that shares the lock of the file made again.
        """
        has_record = self._guard is None or record_path(self._folder, self.serial).exists()
        if not has_record or not self._lease.lock.is_current():
            self._lock_again()
        self._lease.note(test)

    def follow_board(self) -> None:
        """Lock the board's device node as it is now: a board that was plugged in again has another one.

        Call it before such a board is opened again. Another guard takes the place of the one that shares the
        lock of the old node.

        Raises:
            BoardBusyError: Another process, with another lock folder, holds the board by now.
            GuardError: No guard can run that shares the lock of the new node.
        """
        if relock_node(self._lease.lock, self.serial):
            self._replace_guard()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files of its locks; a process that inherits them keeps the board locked until it ends."""
        lock = self._lease.lock
        return tuple(filter(lambda descriptor: descriptor >= 0, (lock.descriptor, lock.node_descriptor)))

    def lend(self, *, ends_borrowers: bool) -> str:
        """Return a word by which other processes use the board under this lease; see `Lease.lend`."""
        return self._lease.lend(ends_borrowers=ends_borrowers)

    def end_lending(self) -> None:
        """Let no other process use the board any more; see `Lease.end_lending`."""
        self._lease.end_lending()

    def _lock_again(self) -> None:
        """Lock the file that other processes find; otherwise they would take the board for free.

        The guard shares the lock of the removed file, so another guard takes its place.
        """
        recreate_folder(self._folder)
        old, guard = self._lease.lock, self._guard
        if guard is not None:
            record = read_record(self._folder, self.serial)
            write_record(self._folder, self.serial, record.marked_in_use(self.holder))
        if old.is_current():
            return
        self._lease.lock = relock_file(old, self.serial)
        self._lease.note(self.holder.test)
        self._replace_guard()
        old.close()

    def _replace_guard(self) -> None:
        """Put a guard beside this process that shares the locks as they are now, then end the one before."""
        guard = self._guard
        if guard is None or self._new_guard is None:
            return
        new_guard = self._new_guard()
        try:
            self.use_guard(new_guard, self._safety)
        except BaseException:  # the old guard stays, and is restarted with the old file: that is not closed
            self._guard = guard
            new_guard.release()
            new_guard.join()
            raise
        guard.release()
        guard.join()

    def release(self, position: str = "off") -> None:
        """Give back a board that its holder has made safe; harmless when repeated.

        Args:
            position: Where the stick is: "host" if a program of the host uses it.

        Raises:
            GuardError: The board is given back; but for some of the time there was no guard.
        """
        had_guard = self._guard is not None
        self._end(lambda record: record.marked_safe().with_position(position))
        if had_guard and self._guard_error is not None:
            raise self._guard_error

    def abandon(self) -> None:
        """Leave the board to the guard, which makes it safe and then unlocks it.

        For a holder that could not make it safe itself. Harmless when repeated or after `release`. Returns
        when the guard has taken over: at once, unless the guard was stopped or killed and another one has to
        be started. If none can be started, this process makes the board safe first.
        """
        with self._ending:
            guard, self._guard = self._guard, None
        if guard is None:
            self._lease.release()
            return
        try:
            if self._guard_error is None:
                guard.abandon()
        except GuardError as error:
            self._guard_error = error
        if self._guard_error is None:
            self._lease.lock.close()
        else:
            self._make_safe_alone(self._guard_error)
            self._lease.release()
        guard.join()

    def close(self) -> None:
        """In a forked child: close the lock's copy, so that the child cannot say that the board is safe."""
        self._ending = threading.RLock()  # another thread may have held it when the child was forked
        self._guard = None
        self._lease.lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self.abandon()

    def on_guard_ended(self, safety: Safety, error: GuardError) -> None:
        """End the use of a board whose guard cannot be replaced, and make it safe from here."""
        self._safety, self._guard_error = safety, error
        self.on_guard_lost(error)
        with self._ending:  # the holder gives the board back before or after this, so never in between
            if self._guard is not None:
                self._make_safe_alone(error)

    def guard_with(self, safety: Safety, controller: int) -> Guard:
        """Start a guard that shares this lease's lock; `use_guard` makes it the guard of this lease."""
        self._new_guard = partial(self.guard_with, safety, controller)
        lock, holder = self._lease.lock, self.holder
        task = GuardTask(
            self.serial,
            lock.path,
            safety,
            holder.pid,
            holder.since,
            lock.node_descriptor,
            self._drivers,
        )
        return Guard(task, lock.descriptor, controller, partial(self.on_guard_ended, safety))

    def use_guard(self, guard: Guard, safety: Safety) -> None:
        """Use this guard from now on, and wait until it runs.

        Raises:
            GuardError: It cannot run.
        """
        self._guard, self._safety = guard, safety
        guard.require()

    def _make_safe_alone(self, error: GuardError) -> None:
        """Make the board safe in this process; while it holds the board, the record says "in use"."""
        event = attempt(self._safety, self.serial, why=f"{error.what}: {error.why}", by="its holder")
        done = read_record(self._folder, self.serial).with_event(event)
        write_record(
            self._folder, self.serial, done.marked_in_use(self.holder) if self._guard is not None else done
        )

    def release_untouched(self, guard: Guard) -> None:
        """Give back a board to which nothing was done: its record is as it was found."""
        self._guard = guard
        self._end(lambda _record: self.found)

    def make_safe(self, safety: Safety) -> None:
        """Make a board safe that was not left so, before it is used.

        Raises:
            BoardLostError: It could not be reached. The record says so, and the board is given back.
            BoardUnsafeError: It answers and could not be made safe; the same.
        """
        event = attempt(
            safety, self.serial, why=_why(self.found, self._lease.killed_guards), by="next holder"
        )
        done = read_record(self._folder, self.serial).with_event(event)
        if done.state is BoardState.UNSAFE:
            self._refuse(done, event)
        self.made_safe, self._known = event, done
        write_record(self._folder, self.serial, done.marked_in_use(self.holder))

    def make_unknown_safe(self, safety: Safety, *, spare_stick: bool = False) -> None:
        """Make a board safe of which nothing is known.

        A board that cannot be reached stays unknown: whoever opens it next is told why.

        Raises:
            BoardLostError, BoardUnsafeError: As `make_safe` does.
        """
        event = attempt(
            safety.at_a_glance(spare_stick=spare_stick), self.serial, why=_why(self.found), by="next holder"
        )
        done = self.found.with_event(event)
        if done.state is BoardState.UNSAFE and (event.silent or event.faulty):
            self._refuse(done, event)
        if done.state is BoardState.SAFE:
            self._known = done if event.was_on else replace(self.found, state=BoardState.SAFE)
            self.made_safe = event if event.was_on else None
            write_record(self._folder, self.serial, self._known.marked_in_use(self.holder))

    def _refuse(self, done: BoardRecord, event: SafetyEvent) -> Never:
        self._end(lambda _record: done)
        kind, first = (
            (BoardUnsafeError, "look at the board and what it powers")
            if event.faulty
            else (BoardLostError, "plug it in")
        )
        raise kind(
            f"board {self.serial} was not left safe and cannot be made safe",
            why=event.why,
            remedy=f"{first}, then: hil safe {self.serial}",
            serial=self.serial,
        )

    def release_unused(self) -> None:
        """Give back a board that could not be opened: what is known of it is what was known before."""
        self._end(lambda _record: self._known)

    def _end(self, change: Callable[[BoardRecord], BoardRecord]) -> None:
        with self._ending:
            guard, self._guard = self._guard, None
            try:
                if guard is not None:
                    write_record(self._folder, self.serial, change(read_record(self._folder, self.serial)))
            finally:  # a lease that is kept would lock others out until this process ends
                if guard is not None:
                    guard.release()
                self._lease.release()
        if guard is not None:
            guard.join()


def under_guard(  # noqa: PLR0913 - by keyword
    lease: Lease,
    safety: Safety,
    *,
    controller: int = 0,
    hurry: bool = False,
    drivers: int = -1,
    spare_stick: bool = False,
) -> GuardedLease:
    """Put a guard beside a lease that was just taken, and make the board safe if it was not left so.

    Args:
        lease: From `acquire` or `acquire_any`; it is given back if this fails.
        safety: How to make the board safe.
        controller: Pid of the xdist controller that this process works for; the guard ends this process when
            that is gone. 0: none.
        hurry: Try once only, and shortly, to make a board safe that was not left so.
        spare_stick: Do nothing to a board of which nothing is known while a program of this host uses its
            stick; it stays unknown. The caller asks again once the board is open.
        drivers: A pipe to read whose other end is open in the processes that may drive the board after this
            one's death: before they have ended, the guard does not call it safe. -1: there are none.

    Raises:
        BoardLostError: It was not left safe, and cannot be reached now.
        BoardUnsafeError: It was not left safe, answers, and cannot be made safe now.
        UsageError: The record's file cannot be used.
        GuardError: No guard can run; nothing was done to the board.
    """
    path = lease.lock.path
    try:
        found = lease.record()
        guarded = GuardedLease(lease, None, found, drivers)
        if safety.leaves_alone:
            return guarded
        guard = guarded.guard_with(safety, controller)
    except BaseException:
        lease.release()
        raise
    try:
        write_record(path.parent, lease.serial, found.marked_in_use(lease.holder))  # while the guard starts
        guarded.use_guard(guard, safety)
    except BaseException:
        guarded.release_untouched(guard)
        raise
    if found.state is BoardState.UNKNOWN and safety.can_glance:
        guarded.make_unknown_safe(safety, spare_stick=spare_stick)
    elif found.needs_safety and found.state is not BoardState.UNKNOWN:
        guarded.make_safe(safety.once() if hurry else safety)
    return guarded


def make_safe_now(lease: Lease, safety: Safety, *, by: str = "hil safe") -> SafetyEvent:
    """Make a held board safe and record it; for `hil safe`, which does not use the board afterwards."""
    folder, serial = lease.lock.path.parent, lease.serial
    return _made_safe(folder, serial, safety, by, lease.record(), lease.killed_guards)


def make_safe_unleased(folder: Path, serial: str, safety: Safety, *, by: str = "hil safe") -> SafetyEvent:
    """Make a board safe whose lock cannot be used, and record it if the record can be written."""
    return _made_safe(folder, serial, safety, by, read_record(folder, serial))


def _made_safe(  # noqa: PLR0913, PLR0917 - for the two functions above alone
    folder: Path,
    serial: str,
    safety: Safety,
    by: str,
    found: BoardRecord,
    killed_guards: tuple[int, ...] = (),
) -> SafetyEvent:
    with suppress(SpoiltFileError):
        write_record(folder, serial, found.with_position(""))  # this process may be killed
    event = attempt(safety, serial, why=_why(found, killed_guards), by=by)
    with suppress(SpoiltFileError):
        write_record(folder, serial, found.with_event(event))
    return event


def _why(found: BoardRecord, killed_guards: tuple[int, ...] = ()) -> str:
    """Return why a board with this record has to be made safe."""
    if found.state is BoardState.IN_USE:
        name = found.holder.name if found.holder else "its holder"
        if killed_guards:
            pids = ", ".join(map(str, killed_guards))
            return f"{name} ended; its guard (pid {pids}) was stopped, and was killed"
        return f"{name} and its guard ended without giving it back"
    if found.state is BoardState.UNSAFE:
        return "an earlier attempt failed" if found.events else found.trouble or "its record cannot be read"
    if found.state is BoardState.UNKNOWN:
        return "nothing is known of it, as it has no record on this host"
    return "asked for"
