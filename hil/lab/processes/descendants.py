"""Find, reap and end the descendants of this process, except guards, which go on.

Only for a process that does nothing else, because it reaps every child that ends. When a process ends, its
children become children of the next ancestor that adopts orphans (Linux: prctl(2), PR_SET_CHILD_SUBREAPER),
or of PID 1: a process that adopts orphans can find everything that a command started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from hil.lab.locks.stopped_guards import is_guard
from hil.process_stat import process_stat

__all__ = ["adopt_orphans", "end_descendants", "guards", "reap", "wait_for_guards"]

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_S = 0.02
_KILL_S = 2.0
"""How long a killed process may take to end; a process that hangs in the kernel takes longer."""


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> dict[int, int]:
    """Return the exit code of each child that has ended since the last call, by pid."""
    ended = {}
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended


def guards() -> list[int]:
    """Return the guards among the children of this process."""
    return [pid for pid in _children()[os.getpid()] if is_guard(pid)]


def end_descendants(grace_s: float) -> None:
    """End all descendants except guards: by SIGTERM, then by SIGKILL after `grace_s` seconds.

    When a process is killed, this process becomes the parent of its children, so it finds them, too.
    """
    _signal(_others(), signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _others() and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        reap()
    deadline = time.monotonic() + _KILL_S
    while (left := _others()) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        time.sleep(_LOOK_EVERY_S)
        reap()


def wait_for_guards(limit_s: float) -> list[int]:
    """Wait until the guards among the children have ended; return the pids of those that have not in time."""
    deadline = time.monotonic() + limit_s
    while (left := guards()) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        reap()
    return left


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(OSError):  # the process ended, or belongs to another user (sudo)
            os.kill(pid, number)


def _others() -> list[int]:
    """Return the pids of all living descendants except guards."""
    children, found = _children(), []
    above = [os.getpid()]
    while above:
        for pid in children.get(above.pop(), []):
            if not is_guard(pid):
                found.append(pid)
                above.append(pid)
    return found


def _children() -> dict[int, list[int]]:
    """Return the pids of the living children of each process that this one can see."""
    children: dict[int, list[int]] = {os.getpid(): []}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            stat = process_stat(int(entry.name))
            if stat is not None and not stat.has_ended:
                children.setdefault(stat.parent, []).append(int(entry.name))
    return children
