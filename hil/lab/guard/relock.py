"""Lock a lock file, or a board's device node, again after it was removed or replaced during a lease.

A cleaner of old files, or the folder's owner, may remove a lock file or its folder. The holder still has the
lock of the removed file, but the next process would lock a new file of the same name. Likewise a board that
is plugged in again has another node.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from hil.dutlink.timing import until
from hil.errors import BoardBusyError, UsageError
from hil.lab.locks.holder import Holder
from hil.lab.locks.lock_dir import make_folder
from hil.lab.locks.lock_file import LockFile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["recreate_folder", "relock_file", "relock_node"]

RELOCK_S = 2.0
"""How long to retry, in seconds.

Another process may lock the file briefly, and unlock it because it cannot lock the node.
"""


def recreate_folder(folder: Path) -> None:
    """Make a removed lock folder again, so that later processes find the records of its boards.

    Does nothing if the folder cannot be made, because the folder above it was removed, too.
    """
    with suppress(UsageError):
        make_folder(folder)


def relock_file(old: LockFile, serial: str) -> LockFile:
    """Lock the file that has the lock file's name now, and return it; it takes over the lock of the node.

    Return the old lock if its file has that name still, or again.

    Raises:
        BoardBusyError: Another process has locked the file.
        SpoiltFileError: The file cannot be locked.
    """
    fresh = LockFile(old.path)
    with ExitStack() as undone:
        undone.callback(fresh.close)
        if os.path.samestat(os.fstat(fresh.descriptor), os.fstat(old.descriptor)):
            return old
        if until(fresh.try_lock, RELOCK_S) is None:
            holder = Holder.from_json(fresh.read())
            raise BoardBusyError(
                f"board {serial} was taken by another process",
                why=f"its lock file {old.path} was removed or replaced, and it is {holder or 'in use'} now",
                remedy="keep cleaners out of that folder, or name another one with HIL_LOCK_DIR",
                serial=serial,
            )
        undone.pop_all()
    fresh.node, old.node = old.node, None
    return fresh


def relock_node(lock: LockFile, serial: str) -> bool:
    """Lock the node that the board has now; return True if it is another one than before.

    Raises:
        BoardBusyError: Another process has locked the node, with a lock file in another folder.
    """
    node = lock.node
    if node is None:
        return False
    before = node.descriptor
    if until(node.try_lock, RELOCK_S) is None:
        raise BoardBusyError(
            f"board {serial} was taken by another process",
            why=f"it was plugged in again, and is held at {node.taken} now, without a lock file in "
            f"{lock.path.parent}",
            remedy="give both one HIL_LOCK_DIR",
            serial=serial,
        )
    return node.descriptor != before
