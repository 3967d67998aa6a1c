"""What a guard does after it took a board over (`process.py` decides that): make it safe, then unlock it.

Processes that the holder started (COMMAND of `hil lease`) may drive the board for a moment after its death.
The guard makes the board safe at once, and again when these processes and their requests have ended; only
then it records the board as safe. If the process that ends COMMAND was killed as well, the guard kills what
is left of COMMAND, which it finds by the lease's token; so it does if that process is stopped, and kills it
first.

If the board cannot be made safe, the guard unlocks it, and tries again whenever it is free.

A guard that was stopped (SIGSTOP) does nothing if it finds, when it continues, that the lease was ended
without it. It must find proof of that: the kernel's lock. What stands in a lock file or a record, and whether
there is one, proves nothing.

No file that can or cannot be read or written keeps the guard from making the board safe: locks, records and
the look for other programs keep order among processes, and an error in them is no reason to leave a DUT on.
"""

from __future__ import annotations

import importlib
import os
import select
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from hil.dutlink.borrowed_lease import is_shared
from hil.dutlink.timing import Backoff
from hil.errors import BoardBusyError, HilError, SpoiltFileError, UsageError
from hil.lab.guard.relock import recreate_folder, relock_file
from hil.lab.guard.task import GuardTask
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.locks.lending import end_borrowers, wait_for_requests
from hil.lab.locks.lock_file import LockFile
from hil.lab.locks.node_lock import NodeLock
from hil.lab.locks.stopped_guards import LockKind, has_lock, kill_stopped_sharers
from hil.lab.safe_state.action import host_of
from hil.lab.safe_state.attempt import try_make_safe
from hil.lab.safe_state.record import BoardState, SafetyEvent, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["load", "recover", "retry_until_safe"]

_DRIVER = (
    "hil.lab.locks.inotify",
    "hil.lab.locks.wait_status",
    "hil.dutlink.console.console",
    "hil.dutlink.settings",
    "hil.dutlink.storage.storage",
    "hil.dutlink.console.tty",
    "hil.lab.stick_sockets",
    "hil.flash.disk.permission",
)
"""Modules that are needed to make a board safe, and that other modules import only when they use them."""

HANG_S = 30.0
"""The guard ends if its attempts take this much longer than their limit: one of them hangs."""

LOOK_AT_DRIVERS_EVERY_S = 1.0

RETRY_HANG_S = 60.0
"""The same for one attempt after the board was unlocked: it must not keep the board from others."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 5.0
"""Between attempts after the board was unlocked. Many causes pass soon, so the first pauses are short."""


def load() -> None:
    """Import the modules that are needed to make a board safe.

    Raises:
        ImportError: A module is not installed any more.
    """
    for module in _DRIVER:
        importlib.import_module(module)
    from hil.dutlink.usb.backend import import_pyusb  # noqa: PLC0415 - the driver is for guards that have time, or work

    import_pyusb()


def recover(lock_descriptor: int, text: str) -> None:
    """Make the board safe and unlock it; if an attempt hangs, end this process.

    Does nothing to a board that another process took, or made safe, since the holder ended.

    Args:
        lock_descriptor: The lock file, which this process shares with the holder.
        text: The task, as `GuardTask.to_json` wrote it.
    """
    task = GuardTask.from_json(text)
    shared = LockFile(task.lock_path, lock_descriptor, NodeLock(None, task.serial, task.node))
    content = shared.read()
    holder = Holder.from_json(content)
    why = f"{holder.name if holder else 'its holder'} ended without giving it back"
    lock = shared
    try:
        current = _lock_of_the_lease(task, shared)
        if current is None:
            return
        lock = current
        lock.write(_as_holder(holder).to_json())
        with _watchdog(task, lock, why):
            if not _lock_current_node(task, lock):
                lock.release()
                return
        if _is_driven(lock, task.drivers):
            why = _make_safe_early(task, lock, why)
        end_borrowers(content, task.serial)
    except Exception as error:  # noqa: BLE001 - whatever failed, it only keeps order: the DUT must not stay on
        why = f"{why}; {type(error).__name__}: {error}"
    with _watchdog(task, lock, why):
        event = try_make_safe(task.safety, task.serial, why=why, by="guard")
    _record_and_unlock(task, lock, event)
    if event.transient:
        retry_until_safe(task, why)


def retry_until_safe(task: GuardTask, why: str) -> None:
    """Try again whenever the board is free, until it is safe or `Safety.patience_s` has passed.

    Some causes pass without the board being plugged in again, and no udev rule reports that: the board works
    through a power sequence, which may take minutes, and answers nothing; libusb is being upgraded; udev has
    not set the node's owner; another process has the board. While the guard waits, the next holder may take
    the board and make it safe.

    Args:
        task: The guard's task.
        why: Why the board has to be made safe, for the record.
    """
    end_s, backoff = time.monotonic() + task.safety.patience_s, Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
    while time.monotonic() < end_s:
        time.sleep(min(backoff.next(), max(0.0, end_s - time.monotonic())))
        with suppress(Exception):  # most often another process holds the board, and makes it safe first
            if not _retry_once(task, why):
                return


def _retry_once(task: GuardTask, why: str) -> bool:
    """Try once, and return True if another attempt may help."""
    folder = task.lock_path.parent
    recreate_folder(folder)
    with _locked_again(task):
        found = read_record(folder, task.serial)
        if (
            found.state is BoardState.SAFE
        ):  # "in use", of a board that is free: its holder and guard died, too
            return False
        with _timer(RETRY_HANG_S, lambda: os._exit(1)):
            event = try_make_safe(task.safety.once(), task.serial, why=why, by="guard")
        if not event.transient:
            with suppress(SpoiltFileError):
                write_record(folder, task.serial, found.with_event(event))
        return event.transient


@contextmanager
def _locked_again(task: GuardTask) -> Iterator[None]:
    """Lock the board; only its device node if no process can lock a board in its lock folder.

    Raises:
        BoardBusyError: Another process holds the board.
    """
    host = host_of(task.safety)
    with ExitStack() as undone:
        try:
            undone.enter_context(acquire(task.serial, test="", folder=task.lock_path.parent, host=host))
        except UsageError:
            node = NodeLock(host, task.serial)
            undone.callback(node.close)
            if not node.try_lock():
                raise BoardBusyError(f"board {task.serial} is held", serial=task.serial) from None
        yield


def _make_safe_early(task: GuardTask, lock: LockFile, why: str) -> str:
    """Make the board safe once, wait for its drivers to end, return the reason for the second attempt.

    Records nothing: until the drivers have ended, the board is in use.
    """
    with _watchdog(task, lock, why):
        event = try_make_safe(task.safety.once(), task.serial, why=why, by="guard")
    wait_for_requests(lock.descriptor)
    while not _have_drivers_ended(task.drivers, LOOK_AT_DRIVERS_EVERY_S):
        kill_stopped_sharers(lock.descriptor, LockKind.OF_LEASE)  # it could not end COMMAND
    return event.why if event.what == "made safe" else why


def _is_driven(lock: LockFile, drivers: int) -> bool:
    """Return True if programs that the holder started may drive the board still.

    Any user may pretend a request, by a lock on the lock file, so power is not left on until it ends.
    """
    return not _have_drivers_ended(drivers, 0.0) or is_shared(lock.descriptor)


def _have_drivers_ended(pipe: int, limit_s: float) -> bool:
    """Wait until all processes that may drive the board have ended, and return True if they have.

    Args:
        pipe: See `GuardTask.drivers`.
        limit_s: How long to wait, in seconds.
    """
    if pipe < 0:
        return True
    poll = select.poll()
    poll.register(pipe, 0)  # POLLHUP, its end, is always reported
    return bool(poll.poll(limit_s * 1000))


@contextmanager
def _timer(limit_s: float, on_timeout: Callable[[], None]) -> Iterator[None]:
    """Call `on_timeout`, in a thread, if the `with` block takes longer than `limit_s`."""
    timer = threading.Timer(limit_s, on_timeout)
    timer.daemon = True
    with suppress(RuntimeError):  # no more threads: the block must run all the same
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _watchdog(task: GuardTask, lock: LockFile, why: str) -> Iterator[None]:
    """Record the failure, unlock the board and end this process if the `with` block hangs."""

    def end() -> None:
        hangs = f"{why}; {task.safety.action} hangs"
        _record_and_unlock(task, lock, SafetyEvent.failed(hangs, "guard"))
        os._exit(1)

    with _timer(task.safety.limit_s + HANG_S, end):
        yield


def _lock_current_node(task: GuardTask, lock: LockFile) -> bool:
    """Lock the device node that the board has now, and return False if another process has locked it."""
    if lock.node is None:
        return True
    lock.node.set_host(host_of(task.safety))
    return lock.node.try_lock()


def _lock_of_the_lease(task: GuardTask, lock: LockFile) -> LockFile | None:
    """Return the lock under which this guard may act, or None if the lease was ended without this guard.

    While this process was stopped, another guard with the same task, which shares the open file, may have
    unlocked it. The kernel tells that; lock file and record do not, because other users can write them.
    """
    if not _is_still_locked(lock.descriptor) or not lock.relock():
        lock.close()
        return None
    return lock if lock.is_current() else _lock_current_file(task, lock)


def _is_still_locked(descriptor: int) -> bool:
    try:
        return has_lock(descriptor, LockKind.OF_LEASE)
    except OSError:  # no /proc: to make a board safe once too often does less harm than not to
        return True


def _lock_current_file(task: GuardTask, lock: LockFile) -> LockFile | None:
    """Lock the file that later holders lock, or return None if another process has locked it.

    A cleaner removed the lock file of this lease, or its folder. If no other file can be made, return the
    lock of the removed file. Otherwise unlock that file, which tells other guards of the lease to do nothing.
    """
    try:
        recreate_folder(task.lock_path.parent)
        fresh = relock_file(lock, task.serial)
    except BoardBusyError:
        lock.close()
        return None
    except (HilError, OSError):
        return lock
    if fresh is not lock:
        lock.unlock()
        lock.close()
    return fresh


def _as_holder(dead: Holder | None) -> Holder:
    """Return the holder that waiting processes read while the guard makes the board safe."""
    name = f"of {dead.user} (pid {dead.pid})" if dead else "of a run"
    command = f"guard {name}: making the board safe"
    return Holder.here()._replace(
        command=command
    )  # no test: its name would be told in the place of the command


def _record_and_unlock(task: GuardTask, lock: LockFile, event: SafetyEvent) -> None:
    folder = task.lock_path.parent
    try:
        with suppress(Exception):  # such as a folder that is gone for good: no later process reads the record
            write_record(folder, task.serial, read_record(folder, task.serial).with_event(event))
    finally:
        lock.release()
