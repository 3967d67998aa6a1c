"""A second kernel lock (`flock`) for each lease, on the board's own device node.

A lock file only excludes processes that use the same lock folder. Processes in a container, or with another
`HIL_LOCK_DIR`, use another folder, and a cleaner may remove the file; but all processes that reach the board
through one `/dev` find the same node. The lock belongs to the open file, so a guard shares it. The node is
opened for reading only: nothing is sent to the board, and libusb, cdc_acm and ModemManager notice nothing. If
the node is missing or may not be opened, the lock file counts alone.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from hil.dutlink.usb.device_node import usb_node
from hil.forked_child import forget_on_fork
from hil.kernel_lock import lock_holders, try_lock
from hil.open_descriptors import CheckedDescriptor

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.host import Host

__all__ = ["NodeLock"]

_OPEN_NODE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW


class NodeLock:
    """A board's device node, locked by this process or not.

    Args:
        host: Where the board is plugged in; None if that is not known here.
        serial: The board.
        descriptor: The open node, if another process locked it and passed it on.

    Attributes:
        taken: The node that another process has locked, and which process; empty if none has.
    """

    def __init__(self, host: Host | None, serial: str, descriptor: int = -1) -> None:
        self.taken = ""
        self._host = host
        self._serial = serial
        self._file = CheckedDescriptor(descriptor)
        forget_on_fork(self)

    @property
    def descriptor(self) -> int:
        """The open node; -1 if there is none."""
        return self._file.number

    @property
    def was_closed_by_others(self) -> bool:
        """Whether other code of this process closed the node."""
        return self._file.was_closed_by_others

    def set_host(self, host: Host | None) -> None:
        """Set where the board is plugged in; None if that is still not known."""
        self._host = host

    def try_lock(self) -> bool:
        """Lock the node that the board has now; return False if another process has it. Never waits."""
        self.taken = ""
        if self._host is None:
            return self.descriptor < 0 or _locked(self.descriptor)
        node = usb_node(self._host, self._serial)
        descriptor = _open_node(node)
        if node is None or descriptor < 0:
            return True
        if self._is_open(descriptor):
            os.close(descriptor)
            return _locked(self.descriptor)
        if not _locked(descriptor):
            self.taken = f"{node}, locked by {_holder_of(descriptor)}"
            os.close(descriptor)
            return False
        self.close()
        self._file = CheckedDescriptor(descriptor)
        return True

    def unlock(self) -> None:
        """Unlock the node, also for processes that share it, and close it; may be repeated."""
        if self.descriptor >= 0:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        self.close()

    def close(self) -> None:
        """Close this process's copy; may be repeated."""
        self._file.close()

    def _is_open(self, descriptor: int) -> bool:
        return self.descriptor >= 0 and os.path.samestat(os.fstat(descriptor), os.fstat(self.descriptor))


def _open_node(node: Path | None) -> int:
    try:
        return -1 if node is None else os.open(node, _OPEN_NODE)
    except OSError:  # unplugged, or forbidden: then this user cannot reach the board either
        return -1


def _locked(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError:  # a device folder without locks
        return True


def _holder_of(descriptor: int) -> str:
    """Return the process that has locked an open file, as far as the kernel tells (proc(5), `locks`)."""
    pid = next(iter(lock_holders(os.fstat(descriptor))), 0)
    if not pid:
        return "a process outside this container"
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as name:  # noqa: PTH123 - proc(5)
            return f"pid {pid} ({name.read().strip()})"
    except OSError:
        return f"pid {pid}"
