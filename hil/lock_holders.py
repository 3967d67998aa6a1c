"""The processes that hold a file's kernel lock (`flock`), as proc(5) tells: text in a file proves nothing."""

from __future__ import annotations

import os

from hil.process_stat import FIRST_PID_NAMESPACE, ancestors

__all__ = ["is_locked_for_this_process", "lock_holders"]


def lock_holders(file: os.stat_result) -> list[int]:
    """Return the pids of the processes that locked a file; a pid stays while another process shares the lock.

    Processes of another PID namespace are not shown here.

    Args:
        file: The file. Some file systems (btrfs, overlayfs) show another device for a lock than for its file;
            there each lock on a file with its number counts.
    """
    try:
        with open("/proc/locks", encoding="ascii") as locks:  # noqa: PTH123 - proc(5)
            lines = [line.split() for line in locks]
    except OSError:
        return []
    device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}"
    found = [
        (line[5].rpartition(":")[0] == device, int(line[4]))
        for line in lines
        if line[1] == "FLOCK" and line[5].rpartition(":")[2] == str(file.st_ino)
    ]
    return [pid for is_exact, pid in found if is_exact] or [pid for _is_exact, pid in found]


def is_locked_for_this_process(file: os.stat_result) -> bool:
    """Return True if the process that locked a file is one of this user, or an ancestor of this process.

    In a container, whose processes do not see the holder outside, it counts as such.
    """
    pids = lock_holders(file)
    if not pids:
        return _is_apart()
    return all(_user_of(pid) == os.geteuid() or pid in _line_of_this_process() for pid in pids)


def _line_of_this_process() -> list[int]:
    """Return this process and its ancestors."""
    me = os.getpid()
    return [me, *ancestors(me)]


def _is_apart() -> bool:
    """Return True if this process is in a PID namespace of its own."""
    try:
        return os.readlink("/proc/self/ns/pid") != FIRST_PID_NAMESPACE  # noqa: PTH115 - no file
    except OSError:
        return False


def _user_of(pid: int) -> int:
    """Return the effective user of a process; -1 if it has ended or is hidden."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:  # noqa: PTH123 - proc(5)
            return next((int(line.split()[2]) for line in status if line.startswith("Uid:")), -1)
    except OSError:
        return -1
