"""Find out whether another worker of this run holds a board: it will release the board."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hil.dutlink.timing import Deadline
from hil.lab.locks.lease import holder_of
from hil.lab.locks.lock_dir import lock_folder
from hil.process_stat import process_stat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["OwnRun"]

OWN_RUN_S = 600.0
"""How long to wait for a board that another worker of this run holds, in seconds."""


class OwnRun:
    """The other workers of a run; call the object to learn whether to wait for the boards that they hold.

    Args:
        serials: The boards that are waited for.
        folder: The folder of their locks; None: the machine's own folder.
        controller: Pid of the xdist controller; 0: no other worker is waited for.
    """

    def __init__(self, serials: Sequence[str], folder: Path | None, controller: int) -> None:
        self._serials = tuple(serials)
        self._folder = folder
        self._controller = controller
        self._patience = Deadline(OWN_RUN_S)
        self._held = self._holds_one()

    def __call__(self) -> bool:
        """Return True if another worker holds one of the boards, or has released it just now."""
        before, self._held = self._held, self._holds_one()
        return not self._patience.passed and (before or self._held)

    def _holds_one(self) -> bool:
        if not self._controller:
            return False
        folder = self._folder or lock_folder()
        holders = (holder_of(folder, serial) for serial in self._serials)
        return any(holder is not None and _is_worker_of(self._controller, holder.pid) for holder in holders)


def _is_worker_of(controller: int, pid: int) -> bool:
    """Return True if a process is another child of the controller; its command may have any name."""
    stat = process_stat(pid) if pid != os.getpid() else None
    return stat is not None and stat.parent == controller
