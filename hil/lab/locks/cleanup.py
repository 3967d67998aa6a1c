"""Remove the files of boards that never come back, because the lock folder is often a few MiB of memory.

The boards of a simulator that kept no state end with it. Locks and records of real boards stay.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hil.errors import HilError
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import LockFile, lock_path
from hil.lab.safe_state.record import record_path
from hil.lab.stick_sockets import forget_sockets

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["forget_boards"]


def forget_boards(serials: Iterable[str], folder: Path | None = None) -> None:
    """Remove lock, record and sockets of boards that are gone for good, except of boards in use.

    Never raises: files that stay do no harm.

    Args:
        serials: The boards.
        folder: The lock folder; None for the machine's own folder.
    """
    with suppress(HilError, OSError):
        folder = folder or lock_folder()
        for serial in serials:
            _forget(folder, serial)


def _forget(folder: Path, serial: str) -> None:
    path = lock_path(folder, serial)
    if not path.exists():  # the board was never leased
        forget_sockets(folder, serial)
        return
    lock = LockFile(path)
    try:
        if lock.try_lock():
            record_path(folder, serial).unlink(missing_ok=True)
            forget_sockets(folder, serial)
            path.unlink()
    finally:
        lock.close()
