"""Lock again what was removed or replaced while it was held: a lock file, or a board's device node.

A cleaner of old files, or its owner, may remove a lock file or its folder. Its holder still has the lock of
the removed file, and the next process would lock a new file of the same name. A board that is plugged in
again has another node in the same way.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hil.dutlink.timing import until
from hil.errors import BoardBusyError, UsageError
from hil.lab.locks.holder import Holder
from hil.lab.locks.lock_dir import make_folder
from hil.lab.locks.lock_file import LockFile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["recreate_folder", "relock_file", "relock_node"]

REGAIN_S = 2.0
"""A process that looks whether the board is free gives the file back at once, because the node is locked."""


def recreate_folder(folder: Path) -> None:
    """Make a removed folder of locks again, so that later processes find what happened to its boards.

    A folder that cannot be made stays away: what is above it was removed, too.
    """
    with suppress(UsageError):
        make_folder(folder)


def relock_file(old: LockFile, serial: str) -> LockFile:
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


def relock_node(lock: LockFile, serial: str) -> bool:
    """Lock the node that the board has now; return True if that is not the node that was locked.

    Raises:
        BoardBusyError: Another process holds it, under a lock file of another folder.
    """
    node = lock.node
    if node is None:
        return False
    before = node.descriptor
    if until(node.try_lock, REGAIN_S) is None:
        raise BoardBusyError(
            f"board {serial} was taken by another process",
            why=f"it was plugged in again, and is held at {node.taken} now, without a lock file in "
            f"{lock.path.parent}",
            remedy="give both one HIL_LOCK_DIR",
            serial=serial,
        )
    return node.descriptor != before
