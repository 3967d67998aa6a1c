"""Read `/proc/PID/stat`: a process's state, parent, ancestors and start (proc(5))."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["FIRST_PID_NAMESPACE", "ProcessStat", "ancestors", "process_stat"]

FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The PID namespace of the machine, outside of containers (linux/proc_ns.h: PROC_PID_INIT_INO)."""

_PROC = Path("/proc")
_MOST_ANCESTORS = 1000
_STATE, _PARENT, _STARTED = 0, 1, 19
"""Positions after the process's name, which is in parentheses and may contain any character."""


class ProcessStat(NamedTuple):
    """What the kernel tells about a process.

    Attributes:
        state: A letter, such as `S`.
        parent: The pid of its parent.
        started: When it was started, in clock ticks since boot.
    """

    state: str
    parent: int
    started: int

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, though its parent may not have waited for it yet."""
        return self.state in {"Z", "X"}

    @property
    def is_stopped(self) -> bool:
        """Whether a signal or a debugger has stopped it."""
        return self.state in {"T", "t"}


def process_stat(pid: int, proc: Path = _PROC) -> ProcessStat | None:
    """Return what the kernel tells about a process, or None if it is gone or hidden from this user.

    Args:
        pid: The process.
        proc: The mount point of proc(5).
    """
    try:
        fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return ProcessStat(fields[_STATE].decode(), int(fields[_PARENT]), int(fields[_STARTED]))
    except (OSError, ValueError, IndexError):
        return None


def ancestors(pid: int, proc: Path = _PROC) -> list[int]:
    """Return the ancestors of a process, the nearest first, up to one that is gone or hidden.

    Args:
        pid: The process.
        proc: The mount point of proc(5).
    """
    line: list[int] = []
    while len(line) < _MOST_ANCESTORS:
        stat = process_stat(pid, proc)
        if stat is None or stat.parent == 0:
            break
        pid = stat.parent
        line.append(pid)
    return line
