"""A lease with a guard: no other process gets the board before it is safe, whatever ends its holder.

    wait in line -> lock -> mark "in use" -> guard runs -> made safe, if the last holder left it otherwise
    -> use -> made safe by the holder -> mark "safe" -> "released" -> unlock

If the holder dies in between, its guard does the rest. If the guard dies at the same moment, the mark tells
the next holder. How a lease ends:

    release          its holder made the board safe: `AcquiredBoard`, `hil lease`
    release_unused   the board could not be opened, and is as it was found: `under_guard`, `hil.boards`
    release_as       it could not be made safe at the start, or has no guard: `under_guard`, `start_guard`
    abandon          the holder could not make the board safe, and its guard does
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hil.dutlink.timing import Backoff
from hil.errors import GuardError, HilError, LeaseEndedError
from hil.forked_child import forget_on_fork
from hil.lab.guard.child import BLOCKED_SIGNALS
from hil.lab.guard.guard import Guard
from hil.lab.guard.relock import recreate_folder, relock_file, relock_node
from hil.lab.guard.task import GuardTask
from hil.lab.safe_state.attempt import try_make_safe
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import BoardState, read_record, record_path, write_record
from hil.open_descriptors import room_for_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hil.lab.locks.holder import Holder
    from hil.lab.locks.lease import Lease
    from hil.lab.safe_state.record import BoardRecord, SafetyEvent

__all__ = ["GuardedLease"]

LOOK_EVERY_S = 1.0
"""How often a lease looks whether its lock file is still there."""

END_S = 1.0

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
"""Between attempts of a holder without a guard to make the board safe."""


class GuardedLease:
    """The exclusive right to use one board, with a guard beside its holder.

    A `with` block that ends without an error releases the board, and thereby says that it is safe. A block
    that ends with an error leaves the board to the guard. Made by `hil.lab.guard.under_guard`.

    Attributes:
        serial: The board.
        folder: The folder of its lock and its record.
        guard: The guard; None if the place's DUT is to be left alone, and after the end of the lease.
        guard_error: Why the holder must stop using the board, as no guard can be started any more; else None.
        found: Its record when the lease began: its last holder, and what the guard did or could not do.
        made_safe: How the board was made safe before it was handed out; None if the last holder had left it
            safe, or if nothing was known of it and its DUT was off.
        on_guard_lost: Called, in another thread, when the guard ended and no other can be started: the holder
            must stop using the board. After that this process makes the board safe.
    """

    def __init__(self, lease: Lease, found: BoardRecord, drivers: int = -1) -> None:
        self.serial = lease.serial
        self.folder = lease.lock.path.parent
        self.guard: Guard | None = None
        self.guard_error: GuardError | None = None
        self.found = self._known = found
        self.made_safe: SafetyEvent | None = None
        self.on_guard_lost: Callable[[GuardError], None] = lambda _error: None
        self._lease = lease
        self._drivers = drivers
        self._safety, self._controller = Safety(), 0
        self._ending = threading.RLock()
        self._over = threading.Event()
        self._maker = 0  # the thread that makes the board safe because no guard runs
        self._keeper = threading.Thread(target=self._keep_lock, name=f"hil-lock-{self.serial}", daemon=True)
        forget_on_fork(self)

    @property
    def holder(self) -> Holder:
        """The holder, as other processes read it in the lock file."""
        return self._lease.holder

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files of its locks; a process that inherits them keeps the board locked until it ends."""
        lock = self._lease.lock
        return tuple(filter(lambda descriptor: descriptor >= 0, (lock.descriptor, lock.node_descriptor)))

    def start_guard(self, safety: Safety, controller: int) -> None:
        """Mark the board as in use, and start a guard; on an error, release the board as it was found.

        Raises:
            GuardError: The guard cannot run.
            SpoiltFileError: The record cannot be written.
        """
        self._safety, self._controller = safety, controller
        self.guard = self._new_guard()
        try:
            self.mark_in_use(self.found)  # while the guard starts
            self.guard.require()
        except BaseException:
            self.release_as(self.found)
            raise

    def _new_guard(self) -> Guard:
        """Start a guard that shares the locks as they are now."""
        lock = self._lease.lock
        task = GuardTask(self.serial, lock.path, self._safety, lock.node_descriptor, self._drivers)
        return Guard(task, lambda: lock.descriptor, self._controller, self.handle_guard_loss)

    def keep_lock(self) -> None:
        """Lock the file again, within a second, whenever it is removed or replaced during this lease.

        Without the file other users do not see the lease, programs that borrow it are refused, and a process
        with another device folder could lock a new file of that name.
        """
        with suppress(RuntimeError):  # no more threads: the file is locked again when `set_test` is called
            self._keeper.start()

    def _keep_lock(self) -> None:
        # Python handles signals in the main thread: one that this thread got would not wake it from a wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
        while not self._over.wait(LOOK_EVERY_S):
            with self._ending, suppress(HilError, OSError):  # the next look tries again; `set_test` raises it
                if not self._over.is_set():
                    self._lock_again_if_removed()

    def loss(self) -> LeaseEndedError | None:
        """Return the error of a lease that ended because other code closed its files; None if it lasts."""
        guard = self.guard
        closed = self._lease.lock.was_closed_by_others or (guard is not None and guard.is_cut_off)
        if self._over.is_set() or not closed:
            return None
        return LeaseEndedError(
            f"the lease of board {self.serial} was lost",
            why="code of this process closed files of hil, as os.closerange does; the board's lock ended "
            "with them, and its guard makes it safe",
            remedy="close only files that the test opened",
            serial=self.serial,
        )

    def raise_if_lost(self) -> None:
        """Raise the error that `loss` returns."""
        if (lost := self.loss()) is not None:
            raise lost

    def raise_if_unguarded(self) -> None:
        """Check the lease before a request; while its guard is being replaced, wait for the new guard.

        Raises:
            LeaseEndedError: As `raise_if_lost`.
            GuardError: No guard can run: if this process died now, nothing would make the board safe.
        """
        self.raise_if_lost()
        guard = self.guard
        if guard is not None and threading.get_ident() != self._maker:
            guard.require()

    def _lock_again_if_removed(self) -> None:
        self.raise_if_lost()
        has_record = self.guard is None or os.path.exists(record_path(self.folder, self.serial))  # noqa: PTH110 - never raises
        if not has_record or not self._lease.lock.is_current():
            self._lock_again()

    def set_test(self, test: str) -> None:
        """Write into the lock file what the board is used for now; lock the file again if it was removed.

        Raises:
            BoardBusyError: The lock file was removed or replaced, and another process holds the board now.
            LeaseEndedError: Other code of this process closed the files of the lease.
            SpoiltFileError: The lock file was replaced by something that cannot be locked.
            GuardError: The lock file was made again, and no guard can run that shares its lock.
        """
        with self._ending:
            self._lock_again_if_removed()
            self._lease.set_test(test)

    def follow_board(self) -> None:
        """Lock the device node that the board has now, after it was plugged in again.

        Call it before the board is opened again. If the node is a new one, a new guard shares its lock, and
        takes the place of the guard that shares the lock of the old node.

        Raises:
            BoardBusyError: Another process, with another lock folder, holds the board now.
            GuardError: No guard can run that shares the lock of the new node.
        """
        with self._ending:
            if relock_node(self._lease.lock, self.serial):
                self._replace_guard()

    def lend(self, *, ends_borrowers: bool) -> str:
        """Return a token by which other processes use the board under this lease; see `Lease.lend`."""
        return self._lease.lend(ends_borrowers=ends_borrowers)

    def end_lending(self) -> None:
        """Stop other processes from using the board; see `Lease.end_lending`."""
        self._lease.end_lending()

    def lent_turns(self) -> int:
        """Return how often programs under this lease have turned the mux; see `Lease.lent_turns`."""
        return self._lease.lent_turns()

    def _lock_again(self) -> None:
        """Lock the file that other processes find; otherwise they would take the board for free.

        The guard shares the lock of the removed file, so another guard takes its place.
        """
        recreate_folder(self.folder)
        old = self._lease.lock
        if self.guard is not None:
            self.mark_in_use(read_record(self.folder, self.serial))
        if old.is_current() or (fresh := relock_file(old, self.serial)) is old:
            return
        self._lease.move_to(fresh)
        self._lease.set_test(self.holder.test)
        self._replace_guard()
        old.close()

    def _replace_guard(self) -> None:
        """Start a guard that shares the locks as they are now, then end the old guard.

        Raises:
            GuardError: No guard can run; the old one stays, and is restarted with the old file if it ends.
        """
        old = self.guard
        if old is None:
            return
        new = self._new_guard()
        try:
            new.require()
        except BaseException:
            new.release()
            new.join()
            raise
        self.guard = new
        old.release()
        old.join()

    def mark_in_use(self, record: BoardRecord) -> None:
        """Write this record, changed to say that this process uses the board."""
        write_record(self.folder, self.serial, record.marked_in_use(self.holder))

    def mark_made_safe(self, record: BoardRecord, event: SafetyEvent | None) -> None:
        """Write this record of a board that was made safe before its use, changed to "in use"."""
        self.made_safe, self._known = event, record
        self.mark_in_use(record)

    def release(self, position: str = "off") -> None:
        """Release a board that its holder has made safe; harmless when repeated.

        Args:
            position: Where the stick is: "host" if a program of the host uses it.

        Raises:
            GuardError: The board is released; but for some of the time there was no guard.
        """
        had_guard = self.guard is not None
        self._end(lambda record: record.marked_safe().with_position(position))
        if had_guard and self.guard_error is not None:
            raise self.guard_error

    def release_unused(self) -> None:
        """Release a board that could not be opened: its record says what it said before."""
        self.release_as(self._known)

    def release_as(self, record: BoardRecord) -> None:
        """Release the board with this record."""
        self._end(lambda _record: record)

    def _end(self, change: Callable[[BoardRecord], BoardRecord]) -> None:
        if self.loss() is not None:
            self.abandon()
            return
        self._over.set()
        with self._ending:
            guard, self.guard = self.guard, None
            try:
                if guard is not None:
                    write_record(self.folder, self.serial, change(read_record(self.folder, self.serial)))
            finally:  # a lease that is kept would lock others out until this process ends
                if guard is not None:
                    guard.release()
                self._lease.release()
        if guard is not None:
            guard.join()
        if self._keeper.is_alive():
            self._keeper.join(END_S)

    def abandon(self) -> None:
        """Leave the board to the guard, which makes it safe and then unlocks it.

        For a holder that could not make the board safe. Harmless when repeated or after `release`. Returns
        when the guard has taken over: at once, unless the guard was stopped or killed and another one has to
        be started. If none can be started, this process makes the board safe first.
        """
        is_lost = self.loss() is not None
        self._over.set()
        with self._ending:
            guard, self.guard = self.guard, None
        if guard is None:
            self._lease.release()
            return
        try:
            if self.guard_error is None:
                guard.abandon()
        except GuardError as error:
            self.guard_error = error
        if self.guard_error is None or is_lost:  # without its lock, this process sends no request
            self._lease.lock.close()
        else:
            try:
                self._make_safe_without_guard(self.guard_error)
            finally:
                self._lease.release()
        guard.join()

    def handle_guard_loss(self, error: GuardError) -> None:
        """Call `on_guard_lost`, then make the board safe in this process; repeat until safe or released."""
        self.guard_error = error
        self._maker = threading.get_ident()
        try:
            self.on_guard_lost(error)
        finally:
            backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
            while not self._is_safe_or_released(error) and not self._over.wait(backoff.next()):
                pass

    def _is_safe_or_released(self, error: GuardError) -> bool:
        with self._ending:  # the holder releases the board before or after this, so never in between
            if self.guard is None or self.loss() is not None:
                return True
            with suppress(HilError, OSError, MemoryError):  # what ended the guard may hinder this, too
                return self._make_safe_without_guard(error)
            return False

    def _make_safe_without_guard(self, error: GuardError) -> bool:
        """Make the board safe in this process, and return whether it is.

        While this process holds the board, its record says "in use".
        """
        with room_for_descriptors():
            return self._make_safe(error)

    def _make_safe(self, error: GuardError) -> bool:
        event = try_make_safe(self._safety, self.serial, why=f"{error.what}: {error.why}", by="its holder")
        done = read_record(self.folder, self.serial).with_event(event)
        if self.guard is not None:
            self.mark_in_use(done)
        else:
            write_record(self.folder, self.serial, done)
        return done.state is BoardState.SAFE

    def close(self) -> None:
        """In a forked child: close the lock's copy, so that the child cannot say that the board is safe."""
        self._over.set()
        self._ending = threading.RLock()  # another thread may have held it when the child was forked
        self.guard = None
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
