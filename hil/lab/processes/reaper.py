"""A process above a command that answers for all that comes of it: reaps, passes on signals, leaves nothing.

`hil lease` has one below it, which outlives it by a moment when it is killed; `hil init` is one, and so is
any `hil` command that is a container's first process (PID 1), which goes on in a child.
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
"""Exit statuses, as shells have them."""

ENDED_BY = 128
"""What shells add to the number of the signal that ended a program."""

GUARDS_LIMIT_S = 120.0
"""How long guards are waited for: a board that works through a power sequence answers after it."""

GRACE_S = 1.0
"""How long processes that a command left behind may take to end."""

_PR_SET_PDEATHSIG = 1
FROM_THE_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT})
PASSED_ON = FROM_THE_TERMINAL | {
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
PARENT_GONE = signal.SIGRTMIN
"""What the kernel sends to a process that asked for it when its parent has ended."""

AWAITED_SIGNALS = PASSED_ON | {signal.SIGCHLD, PARENT_GONE}
"""What `supervise_child` waits for: to be blocked before the child exists."""

_USUAL = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGCHLD")


def run_as_init(command: Sequence[str], guards_limit_s: float) -> int:
    """Run a command as an init does, and return its exit status once its guards are gone, too.

    Args:
        command: Program and arguments.
        guards_limit_s: How long guards are waited for, in seconds.
    """
    adopt_orphans()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED_SIGNALS)
    child = os.fork()
    if not child:
        exec_command(command, before)
    return _to_the_end(child, guards_limit_s, INIT_NAME)


def fork_from_pid_1() -> None:
    """In PID 1, go on in a child: the first process becomes its init and ends when it and its guards have.

    Call it before anything is opened. The kernel ends all of a container with its PID 1, and leaves it to
    PID 1 to reap.
    """
    if os.getpid() != 1:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED_SIGNALS)
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_to_the_end(child, GUARDS_LIMIT_S, FIRST_NAME))


def supervise_child(child: int, *, of_a_leader: bool = False) -> int:
    """Pass signals on to a child, reap whatever ends, and return the child's exit status.

    All signals that matter must be blocked.

    Args:
        child: Its pid.
        of_a_leader: Whether signals come from a process above only, and its end is this one's, too.
    """
    while True:
        number = signal.sigwaitinfo(AWAITED_SIGNALS).si_signo
        if number == PARENT_GONE:
            if of_a_leader:
                return ENDED_BY + signal.SIGTERM
        elif number == signal.SIGCHLD:
            ended = reap()
            if child in ended:
                return ended[child] if ended[child] >= 0 else ENDED_BY - ended[child]
        elif of_a_leader or number not in FROM_THE_TERMINAL or not has_the_terminal():
            with suppress(ProcessLookupError):
                os.kill(child, number)


def exec_command(
    command: Sequence[str],
    mask: set[signal.Signals] | set[int],
    group: int = 0,
    *,
    at_parents_end: signal.Signals = signal.SIGTERM,
) -> None:
    """Become a command, in a child that was forked a moment ago.

    Args:
        command: Program and arguments.
        mask: The signals that it has blocked.
        group: The process group that it joins; 0: that of its parent.
        at_parents_end: What it gets when its parent ends.
    """
    parent = os.getppid()
    if group:
        with suppress(OSError):  # it is gone, and with it the process that led it
            os.setpgid(0, group)
    for name in _USUAL:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(at_parents_end))
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(ENDED_BY + signal.SIGTERM)
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - this is what it is for
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        sys.stderr.write(f"hil: {command[0]} cannot be run: {error.strerror}\n")
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
    """Return True if Ctrl-C at the terminal reaches this process's whole group."""
    try:
        with open("/dev/tty", "rb") as terminal:  # noqa: PTH123 - the controlling terminal, whatever it is called
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False
