"""Run a command and answer for all processes that it starts: pass on signals, reap, and end what is left.

`hil lease` has such a process below it, which outlives it by a moment if it is killed. `hil init` is one
itself, and so is any `hil` command that is PID 1 of a container: it goes on in a child process.

When a process ends, its children become children of the next ancestor that adopts orphans (Linux: prctl(2),
PR_SET_CHILD_SUBREAPER), or of PID 1: a process that adopts orphans can find all that a command started.
It reaps every child that ends, so it does nothing else. Guards are left alone: they go on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.lab.guard.process import take_name
from hil.lab.guard.survival import FIRST_NAME, INIT_NAME
from hil.lab.locks.stopped_guards import is_guard
from hil.process_stat import process_stat

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AWAITED_SIGNALS",
    "ENDED_BY",
    "FROM_THE_TERMINAL",
    "GRACE_S",
    "GUARDS_LIMIT_S",
    "PARENT_GONE",
    "PASSED_ON",
    "adopt_orphans",
    "end_descendants",
    "exec_command",
    "fork_from_pid_1",
    "has_the_terminal",
    "reap",
    "run_as_init",
    "supervise_child",
    "wait_for_guards",
]

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of a command that cannot be run, as in shells."""

_REMEDY = "name a program on PATH, or the path of a file that ls -l shows as executable (x)"

ENDED_BY = 128
"""The exit status of a command that a signal ended is this plus the signal's number, as in shells."""

GUARDS_LIMIT_S = 120.0
"""How long to wait for guards: a board that works through a power sequence answers after it."""

GRACE_S = 1.0
"""How long the processes that a command leaves may take to end."""

_LOOK_EVERY_S = 1.0
"""Seconds between looks for ended children: SIGCHLD is lost if it reaches a thread that does not block it."""

_LOOK_WHILE_ENDING_S = 0.02

_KILL_S = 2.0
"""How long a killed process may take to end; a process that hangs in the kernel takes longer."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
FROM_THE_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT})
PASSED_ON = FROM_THE_TERMINAL | {
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
PARENT_GONE = signal.SIGRTMIN
"""The signal that the kernel sends when the parent of a process that asked for it has ended."""

AWAITED_SIGNALS = PASSED_ON | {signal.SIGCHLD, PARENT_GONE}
"""The signals that `supervise_child` waits for; block them before the child is forked."""

_USUAL = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGCHLD")


def run_as_init(command: Sequence[str], guards_limit_s: float) -> int:
    """Run a command as an init does; return its exit status when its guards have ended, too.

    Args:
        command: Program and arguments.
        guards_limit_s: How long to wait for guards, in seconds.
    """
    adopt_orphans()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED_SIGNALS)
    child = os.fork()
    if not child:
        exec_command(command, before)
    return _to_the_end(child, guards_limit_s, INIT_NAME)


def fork_from_pid_1() -> None:
    """If this process is PID 1, go on in a child; PID 1 becomes its init, and ends after it and its guards.

    Call this before any file is opened. When PID 1 of a container ends, the kernel ends all other processes
    of the container; and PID 1 has to reap orphans.
    """
    if os.getpid() != 1:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED_SIGNALS)
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_to_the_end(child, GUARDS_LIMIT_S, FIRST_NAME))


def supervise_child(child: int, *, ends_with_parent: bool = False) -> int:
    """Pass signals on to a child, reap all children that end, and return the child's exit status.

    The signals in `AWAITED_SIGNALS` must be blocked.

    Args:
        child: The child's pid.
        ends_with_parent: Return when this process's parent ends, and pass on all signals: only the parent
            sends them.
    """
    while True:
        came = signal.sigtimedwait(AWAITED_SIGNALS, _LOOK_EVERY_S)
        number = came.si_signo if came is not None else signal.SIGCHLD
        if number == PARENT_GONE:
            if ends_with_parent:
                return ENDED_BY + signal.SIGTERM
        elif number == signal.SIGCHLD:
            ended = reap()
            if child in ended:
                return ended[child] if ended[child] >= 0 else ENDED_BY - ended[child]
        elif ends_with_parent or number not in FROM_THE_TERMINAL or not has_the_terminal():
            with suppress(ProcessLookupError):
                os.kill(child, number)


def exec_command(
    command: Sequence[str],
    mask: set[signal.Signals] | set[int],
    group: int = 0,
    *,
    at_parents_end: signal.Signals = signal.SIGTERM,
) -> None:
    """Execute a command, in a child that was forked a moment ago.

    Args:
        command: Program and arguments.
        mask: The signals that the command has blocked.
        group: The process group that the command joins; 0 for that of its parent.
        at_parents_end: The signal that the command gets when its parent ends.
    """
    parent = os.getppid()
    if group:
        with suppress(OSError):  # the group has ended, and with it the process that led it
            os.setpgid(0, group)
    for name in _USUAL:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(at_parents_end))
    if os.getppid() != parent:  # the parent ended before the prctl call
        os._exit(ENDED_BY + signal.SIGTERM)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - the purpose of this function
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        sys.stderr.write(f"hil: {command[0]} cannot be run: {error.strerror}\n  try: {_REMEDY}\n")
        sys.stderr.flush()
        os._exit(NOT_FOUND if missing else NOT_EXECUTABLE)


def _to_the_end(child: int, guards_limit_s: float, name: str) -> int:
    take_name(name, name)
    status = supervise_child(child)
    end_descendants(GRACE_S)
    left = wait_for_guards(guards_limit_s)
    if left:
        sys.stderr.write(
            f"hil: after {guards_limit_s:g} s {len(left)} guards (pid {', '.join(map(str, left))}) still try "
            "to make a board safe; a container ends with this process: on the host: hil safe --all\n"
        )
        sys.stderr.flush()
    return status or int(bool(left))


def has_the_terminal() -> bool:
    """Return True if Ctrl-C at the terminal reaches this process's group."""
    try:
        with open("/dev/tty", "rb") as terminal:  # noqa: PTH123 - the controlling terminal
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


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


def _guards() -> list[int]:
    """Return the guards among the children of this process."""
    return [pid for pid in _children()[os.getpid()] if is_guard(pid)]


def end_descendants(grace_s: float) -> None:
    """End all descendants except guards: by SIGTERM, then by SIGKILL after `grace_s` seconds.

    When a process is killed, this process becomes the parent of its children, so it finds them, too.
    """
    _signal(_others(), signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _others() and time.monotonic() < deadline:
        time.sleep(_LOOK_WHILE_ENDING_S)
        reap()
    deadline = time.monotonic() + _KILL_S
    while (left := _others()) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        time.sleep(_LOOK_WHILE_ENDING_S)
        reap()


def wait_for_guards(limit_s: float) -> list[int]:
    """Wait until the guards among the children have ended; return the pids of those that have not in time."""
    deadline = time.monotonic() + limit_s
    while (left := _guards()) and time.monotonic() < deadline:
        time.sleep(_LOOK_WHILE_ENDING_S)
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
