"""A lease that nobody else can get before the board is safe, whatever ends its holder.

    wait in line -> lock -> mark "in use" -> guard starts -> made safe, if the last one left it otherwise
    -> use -> made safe by the holder -> mark "safe" -> "released" -> unlock

A holder that dies anywhere in between leaves the rest to its guard; if that dies at the same moment, the mark
tells the next holder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from hil.errors import BoardLostError
from hil.forked_child import forget_on_fork
from hil.lab.board_record import BoardRecord, BoardState, SafetyEvent, read_record, write_record
from hil.lab.guard import Guard
from hil.lab.guard_work import GuardTask
from hil.lab.safety import attempt

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hil.lab.lease import Holder, Lease
    from hil.lab.safety import Safety

__all__ = ["GuardedLease", "make_safe_now", "under_guard"]


class GuardedLease:
    """The exclusive right to one board, with a guard beside its holder.

    A `with` block that ends well gives the board back, and says with that: it is safe. One that ends with an
    error leaves that to the guard. Made by `under_guard`.

    Attributes:
        serial: The board.
        found: Its record as it was found: who had it, and what its guard did or could not do.
        made_safe: What was done before it was handed out; None: it had been left safe.
    """

    def __init__(self, lease: Lease, guard: Guard | None, found: BoardRecord) -> None:
        self.serial = lease.serial
        self.found = found
        self.made_safe: SafetyEvent | None = None
        self._lease = lease
        self._guard = guard
        self._folder = lease.lock.path.parent
        forget_on_fork(self)

    @property
    def holder(self) -> Holder:
        """What others read about who holds it."""
        return self._lease.holder

    @property
    def guard(self) -> Guard | None:
        """The guard; None where the place's DUT is to be left alone."""
        return self._guard

    def note(self, test: str) -> None:
        """Say in the lock file what the board is used for now."""
        self._lease.note(test)

    def release(self) -> None:
        """Give back a board that its holder has made safe; harmless when repeated."""
        self._end(BoardRecord.left_safe)

    def abandon(self) -> None:
        """Leave the board to the guard, which makes it safe and then lets the lock go; returns at once.

        For a holder that could not make it safe itself. Harmless when repeated or after `release`.
        """
        guard, self._guard = self._guard, None
        if guard is None:
            self._lease.release()
        else:
            guard.abandon()
            self._lease.lock.close()
            guard.join()

    def close(self) -> None:
        """In a forked child: have no part in it, so that nothing there says that the board is safe."""
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

    def bring_to_safety(self, safety: Safety) -> None:
        """Make a board safe that was not left so, before it is used.

        Raises:
            BoardLostError: It could not be done. The record says so, and the board is given back.
        """
        event = attempt(safety, self.serial, why=_why(self.found), by="next holder")
        done = read_record(self._folder, self.serial).with_event(event)
        if done.state is BoardState.PENDING:
            self._end(lambda _record: done)
            raise BoardLostError(
                f"board {self.serial} was not left safe and cannot be made safe",
                why=event.why,
                remedy=f"plug it in, then: hil safe {self.serial}",
                serial=self.serial,
            )
        self.made_safe = event
        write_record(self._folder, self.serial, done.used_by(self.holder))

    def _end(self, change: Callable[[BoardRecord], BoardRecord]) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            self._lease.release()
            return
        write_record(self._folder, self.serial, change(read_record(self._folder, self.serial)))
        guard.release()
        self._lease.release()
        guard.join()


def under_guard(lease: Lease, safety: Safety, *, controller: int = 0) -> GuardedLease:
    """Put a guard beside a lease that was just taken, and make the board safe if it was not left so.

    Args:
        lease: From `hold` or `hold_any`; it is given back if this fails.
        safety: How to make the board safe.
        controller: Pid of the xdist controller that this process works for; the guard ends this process when
            that is gone. 0: none.

    Raises:
        BoardLostError: It was not left safe, and cannot be made safe now.
        UsageError: The record's file cannot be used.
        OSError: No guard can be started.
    """
    path = lease.lock.path
    try:
        found = read_record(path.parent, lease.serial)
        if safety.leaves_alone:
            return GuardedLease(lease, None, found)
        write_record(path.parent, lease.serial, found.used_by(lease.holder))
        guard = Guard(GuardTask(lease.serial, path, safety), lease.lock.descriptor, controller)
    except BaseException:
        lease.release()
        raise
    guarded = GuardedLease(lease, guard, found)
    if found.needs_safety:
        guarded.bring_to_safety(safety)
    return guarded


def make_safe_now(lease: Lease, safety: Safety, *, by: str = "hil safe") -> SafetyEvent:
    """Make a held board safe and record it; for `hil safe`, where nobody goes on to use it.

    Raises:
        UsageError: The record's file cannot be used.
    """
    folder = lease.lock.path.parent
    found = read_record(folder, lease.serial)
    event = attempt(safety, lease.serial, why=_why(found), by=by)
    write_record(folder, lease.serial, found.with_event(event))
    return event


def _why(found: BoardRecord) -> str:
    """Why a board that is found like this has to be made safe."""
    if found.state is BoardState.IN_USE:
        who = found.holder.name if found.holder else "its holder"
        return f"{who} and its guard ended without giving it back"
    if found.state is BoardState.PENDING:
        return "an earlier attempt failed" if found.events else "its record cannot be read"
    return "asked for"
