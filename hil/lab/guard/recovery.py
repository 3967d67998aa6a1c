"""What a guard does after its holder ended without `released`: make the board safe, record it, unlock.

Processes that the holder started (COMMAND of `hil lease`) may drive the board for a moment after its death:
it is made safe at once, and again when they have ended, and only then it is on record as safe. If the process
that ends COMMAND was killed as well, the guard kills what came of COMMAND, by the lease's word. A board that
could not be made safe is unlocked, and the guard goes on trying: see `lingering`. A guard that was stopped
(SIGSTOP), and finds when it wakes that the board went on without it, does nothing. It must find proof of
that: a lock file, a record or a whole folder that was removed proves nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.dutlink.inherited_lease import wait_for_requests
from hil.errors import BoardBusyError, HilError, SpoiltFileError
from hil.lab.guard.retry import retry_until_safe
from hil.lab.locks.holder import Holder
from hil.lab.locks.lease_token import end_borrowers
from hil.lab.locks.lock_file import LockFile
from hil.lab.locks.node_lock import NodeLock
from hil.lab.locks.relock import recreate_folder, relock_file
from hil.lab.safe_state.policy import Safety, attempt
from hil.lab.safe_state.record import BoardState, SafetyEvent, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GuardTask", "load", "work"]

_DRIVER = (
    "hil.lab.safe_state.action",
    "hil.lab.guard.stopped_guards",
    "hil.dutlink.console.console",
    "hil.dutlink.settings",
    "hil.dutlink.storage.storage",
    "hil.dutlink.console.tty",
    "hil.lab.stick_sockets",
)
"""What makes a board safe, also when others hold it; most of it is imported only when it is first used."""

HANG_S = 30.0
"""Seconds after the limit of its attempts until a guard gives up an action that hangs."""


@dataclass(frozen=True, slots=True)
class GuardTask:
    """What a guard must know. It gets all of it when it starts: its holder may be dead when it is needed.

    Attributes:
        serial: The board.
        lock_path: Its lock file; records are beside it.
        safety: How to make it safe.
        pid: The holder's; 0: not known.
        since: When the holder's lease began, as records write it.
        node: The descriptor of the board's own node, locked; -1: there is none.
        drivers: The descriptor of a pipe whose other end is open in the processes that may drive the board
            after the holder's death, until they have ended; -1: there are none.
    """

    serial: str
    lock_path: Path
    safety: Safety
    pid: int = 0
    since: str = ""
    node: int = -1
    drivers: int = -1

    def to_json(self) -> str:
        """Return the task as the guard gets it."""
        return json.dumps(
            {
                "serial": self.serial,
                "lock_path": str(self.lock_path.absolute()),
                "safety": self.safety.to_json(),
                "pid": self.pid,
                "since": self.since,
                "node": self.node,
                "drivers": self.drivers,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> GuardTask:
        """Return the task that `to_json` wrote."""
        facts: dict[str, Any] = json.loads(text)
        safety = Safety.from_json(facts["safety"])
        path = Path(facts["lock_path"])
        descriptors = facts["node"], facts["drivers"]
        return cls(facts["serial"], path, safety, facts["pid"], facts["since"], *descriptors)

    def is_for(self, holder: Holder | None) -> bool:
        """Return True if `holder` has the lease of this task, or if the task does not name its holder."""
        return not self.pid or (holder is not None and (holder.pid, holder.since) == (self.pid, self.since))


def load() -> None:
    """Import the modules that make a board safe.

    Raises:
        ImportError: One of them is not installed any more.
    """
    for module in _DRIVER:
        importlib.import_module(module)
    from hil.dutlink.usb.backend import import_pyusb  # noqa: PLC0415 - the driver is for guards that have time, or work

    import_pyusb()


def work(lock_descriptor: int, text: str) -> None:
    """Make the board safe and let its lock go; after a hang it ends the process to do so.

    A board that another process took, or made safe, in the meantime is left as it is.
    """
    task = GuardTask.from_json(text)
    shared = LockFile(task.lock_path, lock_descriptor, NodeLock(None, task.serial, task.node))
    content = shared.read()
    holder = Holder.from_json(content)
    lock = _lock_of_the_lease(task, shared)
    if lock is None:
        return
    lock.write(_as_holder(holder).to_json())
    wait_for_requests(lock.descriptor)
    why = f"{holder.name if holder else 'its holder'} ended without giving it back"
    with _watchdog(task, lock, why):
        if not _follow_board(task, lock):
            lock.unlock()
            return
    if not _rings(task.drivers, 0.0):
        why = _made_safe_early(task, lock, why)
    end_borrowers(content)
    with _watchdog(task, lock, why):
        event = attempt(task.safety, task.serial, why=why, by="guard")
    _finish(task, lock, event)
    if event.transient:
        retry_until_safe(task, why)


def _made_safe_early(task: GuardTask, lock: LockFile, why: str) -> str:
    """Try once, then wait until no process can undo it; return why the board is made safe again.

    Nothing is recorded: until then the board is in use.
    """
    with _watchdog(task, lock, why):
        event = attempt(task.safety.once(), task.serial, why=why, by="guard")
    _rings(task.drivers, None)
    return event.why if event.what == "made safe" else why


def _rings(drivers: int, limit_s: float | None) -> bool:
    """Wait until a pipe is at its end, and return whether it is; True at once for -1."""
    if drivers < 0:
        return True
    poll = select.poll()
    poll.register(drivers, 0)  # its end, POLLHUP, is always told
    return bool(poll.poll(None if limit_s is None else limit_s * 1000))


@contextmanager
def _watchdog(task: GuardTask, lock: LockFile, why: str) -> Iterator[None]:
    """End this process, for a `with` block that hangs."""
    timer = threading.Timer(task.safety.limit_s + HANG_S, _give_up, (task, lock, why))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _follow_board(task: GuardTask, lock: LockFile) -> bool:
    """Lock the board's device node as it is now, and return False if another process has it by now."""
    from hil.lab.safe_state.action import host_of  # noqa: PLC0415 - the driver is for guards that have work to do

    if lock.node is None:
        return True
    lock.node.locate(host_of(task.safety))
    return lock.node.try_lock()


def _lock_of_the_lease(task: GuardTask, lock: LockFile) -> LockFile | None:
    """Return the lock under which this guard may act, or None if the board went on without it.

    The lock may have been given up while this process was stopped: by another guard that had its task, which
    shares the open file. Then another process may hold it, or it is free and the record says what was done.
    """
    if not lock.try_lock_again():
        lock.close()
        return None
    if not task.is_for(Holder.from_json(lock.read())) and _went_on(task):
        lock.give_back()
        lock.close()
        return None
    return lock if lock.is_current() else _lock_of_its_name(task, lock)


def _lock_of_its_name(task: GuardTask, lock: LockFile) -> LockFile | None:
    """Return the lock of the file that later holders lock, or None if the board went on under that one.

    A cleaner removed the file of this lease, or its folder. If no other can be made, the open file has to do.
    """
    try:
        recreate_folder(task.lock_path.parent)
        fresh = relock_file(lock, task.serial)
    except BoardBusyError:
        lock.close()
        return None
    except HilError:
        return lock
    lock.close()
    if not _went_on(task):
        return fresh
    fresh.unlock()
    return None


def _went_on(task: GuardTask) -> bool:
    """Return True if the record proves that this lease was ended, or that a later one began.

    A record that is missing, cannot be read, or is older than the lease proves nothing.
    """
    record = read_record(task.lock_path.parent, task.serial)
    if record.holder is None:
        return False
    if task.is_for(record.holder):
        return record.state is not BoardState.IN_USE
    return record.holder.since >= task.since


def _as_holder(dead: Holder | None) -> Holder:
    """Return the holder that waiting processes read while the guard works."""
    name = f"of {dead.user} (pid {dead.pid})" if dead else "of a run"
    return Holder(command=f"guard {name}: making the board safe", test=dead.test if dead else "")


def _give_up(task: GuardTask, lock: LockFile, why: str) -> None:
    _finish(task, lock, SafetyEvent.failed(f"{why}; {task.safety.action} hangs", "guard"))
    os._exit(1)


def _finish(task: GuardTask, lock: LockFile, event: SafetyEvent) -> None:
    folder = task.lock_path.parent
    try:
        with suppress(SpoiltFileError):  # the folder is gone for good: there is no next reader either
            write_record(folder, task.serial, read_record(folder, task.serial).with_event(event))
    finally:
        lock.unlock()
