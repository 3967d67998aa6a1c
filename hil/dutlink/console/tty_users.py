"""Find the processes that have a tty open, as far as this user may see them (proc(5): fd)."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["TtyUser", "users_of"]

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class TtyUser:
    """A process that has a tty open.

    Attributes:
        pid: Its process id.
        command: Its name in the kernel.
        user: The name of its user.
    """

    pid: int
    command: str
    user: str

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid}, of {self.user})"


def users_of(tty: Path) -> list[TtyUser]:
    """Return the other processes that have a tty open; only root sees those of other users."""
    node = os.path.realpath(tty)
    pids = sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return [user for pid in pids if pid != os.getpid() and _has_open(pid, node) and (user := _user(pid))]


def _has_open(pid: int, node: str) -> bool:
    with suppress(OSError):  # the process belongs to another user, or has ended
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) == node:
                    return True
    return False


def _user(pid: int) -> TtyUser | None:
    folder = _PROC / str(pid)
    try:
        command, uid = (folder / "comm").read_text(errors="replace").strip(), folder.stat().st_uid
    except OSError:
        return None
    try:
        return TtyUser(pid, command, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return TtyUser(pid, command, str(uid))
