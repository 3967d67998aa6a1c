"""A file's kernel lock (`flock`): try to get it, ask whether a process has it, and which one.

`flock` cannot ask. `is_locked` shares the lock for a moment; a process that tries to get it in that moment
must not take this for a holder, so `try_lock` tries again.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_file_locked", "is_locked", "is_locked_for_this_process", "lock_holders", "try_lock"]

_LONGEST_QUESTION_S = 0.1
_RETRY_EVERY_S = 0.001


def try_lock(descriptor: int) -> bool:
    """Lock an open file, and return True; return False if another process has its lock.

    A process that only asks delays this for a moment; one that is stopped while it asks counts as a holder.

    Raises:
        OSError: The file's file system has no locks.
    """
    end_s = time.monotonic() + _LONGEST_QUESTION_S
    while not _locked(descriptor, fcntl.LOCK_EX):
        if is_locked(descriptor) or time.monotonic() > end_s:
            return False
        time.sleep(_RETRY_EVERY_S)
    return True


def is_locked(descriptor: int) -> bool:
    """Return True if a process has locked a file; False also if its file system has no locks.

    Args:
        descriptor: The file, opened by this process and not locked by it: a lock would be lost.
    """
    try:
        if not _locked(descriptor, fcntl.LOCK_SH):
            return True
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return False
    return False


def is_file_locked(path: Path) -> bool:
    """Return True if a process has locked a file or folder; False if there is none that this user may read.

    A link is not followed, and a pipe is not waited for: another user may have given it the file's name.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_locked(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_holders(file: os.stat_result) -> list[int]:
    """Return the pids of the processes that locked a file; a pid stays while another process shares the lock.

    Processes of another PID namespace are not shown here.

    Args:
        file: The file. Some file systems (btrfs, overlayfs) show another device for a lock than for its file;
            there each lock on a file with its number counts.
    """
    try:
        with open("/proc/locks", "rb") as locks:  # noqa: PTH123 - proc(5)
            lines = [line.split() for line in locks]
    except OSError:
        return []
    device, number = b"%02x:%02x" % (os.major(file.st_dev), os.minor(file.st_dev)), b"%d" % file.st_ino
    found = [
        (line[5].rpartition(b":")[0] == device, int(line[4]))
        for line in lines
        if line[1] == b"FLOCK" and line[5].rpartition(b":")[2] == number
    ]
    return [pid for is_exact, pid in found if is_exact] or [pid for _is_exact, pid in found]


def is_locked_for_this_process(descriptor: int) -> bool:
    """Return True if the process that locked an open file is this user's, or an ancestor of this one.

    In a container, whose processes do not see the holder outside, it counts as such.
    """
    pids = lock_holders(os.fstat(descriptor))
    if not pids:
        return _is_apart()
    return all(_user_of(pid) == os.geteuid() or pid in _line_of_this_process() for pid in pids)


def _line_of_this_process() -> list[int]:
    """Return this process and its ancestors."""
    from hil.process_stat import ancestors  # noqa: PLC0415 - only for another user's holder

    me = os.getpid()
    return [me, *ancestors(me)]


def _is_apart() -> bool:
    """Return True if this process is in a PID namespace of its own."""
    from hil.process_stat import FIRST_PID_NAMESPACE  # noqa: PLC0415 - only if the holder is not seen

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
