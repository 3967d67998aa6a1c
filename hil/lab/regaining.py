"""Lock a lock file again that was removed or replaced while it was held.

A cleaner of old files, or its owner, may remove a lock file. Its holder still has the lock of the removed
file, and the next process would lock a new file of the same name.
"""

from __future__ import annotations

from hil.dutlink.waiting import until
from hil.errors import BoardBusyError
from hil.lab.holder import Holder
from hil.lab.lock_file import LockFile

__all__ = ["regained"]

REGAIN_S = 2.0
"""A process that looks whether the board is free gives the file back at once, because the node is locked."""


def regained(old: LockFile, serial: str) -> LockFile:
    """Return the lock of the file that has the name now; the lock of the board's node goes over to it.

    Raises:
        BoardBusyError: Another process holds it.
        SpoiltFileError: What has the name cannot be locked.
    """
    fresh = LockFile(old.path)
    if until(fresh.try_lock, REGAIN_S) is None:
        holder = Holder.from_json(fresh.read())
        fresh.close()
        raise BoardBusyError(
            f"board {serial} was taken by another process",
            why=f"its lock file {old.path} was removed or replaced, and it is {holder or 'in use'} now",
            remedy="let nothing clean up that folder, or name another one with HIL_LOCK_DIR",
            serial=serial,
        )
    fresh.node, old.node = old.node, None
    return fresh
