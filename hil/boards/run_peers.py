"""Find out whether another worker of this run holds a board: it will release the board."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.lab.locks.lease import holder_of
from hil.lab.locks.lock_dir import lock_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["held_by_own_run"]


def held_by_own_run(serials: Iterable[str], folder: Path | None, controller: int) -> bool:
    """Return True if another worker of the same controller holds one of these boards.

    Args:
        serials: The boards.
        folder: The folder of their locks; None: the machine's own folder.
        controller: Pid of the xdist controller; 0: there is none.
    """
    if not controller:
        return False
    holders = (holder_of(folder or lock_folder(), serial) for serial in serials)
    return any(holder is not None and _is_worker_of(controller, holder.pid) for holder in holders)


def _is_worker_of(controller: int, pid: int) -> bool:
    """Return True if a process is another child of the controller; its command may have any name."""
    if pid == os.getpid():
        return False
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == controller
    return False
