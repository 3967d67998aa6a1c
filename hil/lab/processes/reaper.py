"""Run a command and answer for all processes that it starts: pass on signals, reap, and end what is left.

`hil lease` has such a process below it, which outlives it by a moment if it is killed. `hil init` is one
itself, and so is any `hil` command that is PID 1 of a container: it goes on in a child process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.lab.guard.process import take_name
from hil.lab.guard.survival import FIRST_NAME, INIT_NAME
from hil.lab.processes.descendants import adopt_orphans, end_descendants, reap, wait_for_guards

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
    "exec_command",
    "fork_from_pid_1",
    "has_the_terminal",
    "run_as_init",
    "supervise_child",
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

_PR_SET_PDEATHSIG = 1
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
