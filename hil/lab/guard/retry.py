"""A guard that could not make its board safe gives the lock back, and goes on trying.

A board answers nothing while it works through a power sequence, and one of minutes can be stored; libusb is
being upgraded, udev has not set a node's owner, another process has the board. Such causes pass without the
board being plugged in again, and no udev rule tells of it. Meanwhile the next holder may have the board, and
makes it safe first. Where none comes, the guard takes the DUT's power when the cause has passed.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from hil.errors import HilError
from hil.lab.locks.lease import acquire
from hil.lab.locks.relock import recreate_folder
from hil.lab.safe_state.action import host_of
from hil.lab.safe_state.policy import attempt
from hil.lab.safe_state.record import BoardState, read_record, write_record

if TYPE_CHECKING:
    from hil.lab.guard.recovery import GuardTask

__all__ = ["retry_until_safe"]

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 5.0
"""Each pause between two attempts is twice as long as the one before, because many causes pass soon."""

HANG_S = 60.0
"""An attempt that takes longer hangs, and must not keep the board: the guard ends."""


def retry_until_safe(task: GuardTask, why: str) -> None:
    """Try again now and then, whenever the board is free, until it is safe or the patience is over.

    Args:
        task: What the guard was given.
        why: What made it necessary, for the record.
    """
    until_s, pause_s = time.monotonic() + task.safety.patience_s, FIRST_PAUSE_S
    while time.monotonic() < until_s:
        time.sleep(min(pause_s, max(0.0, until_s - time.monotonic())))
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        recreate_folder(task.lock_path.parent)
        try:
            if not _is_left_to_do(task, why):
                return
        except HilError:  # somebody holds it, or waits for it: they make it safe first
            continue


def _is_left_to_do(task: GuardTask, why: str) -> bool:
    """Try once, and tell whether another attempt may help."""
    folder = task.lock_path.parent
    with acquire(task.serial, test="", folder=folder, host=host_of(task.safety)):
        found = read_record(folder, task.serial)
        if found.holder is not None and found.state is not BoardState.UNSAFE:
            return False  # a record that was removed proves nothing
        watchdog = threading.Timer(HANG_S, os._exit, (1,))
        watchdog.daemon = True
        watchdog.start()
        event = attempt(task.safety.once(), task.serial, why=why, by="guard")
        watchdog.cancel()
        if not event.transient:
            write_record(folder, task.serial, found.with_event(event))
        return event.transient
