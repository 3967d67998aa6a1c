"""Find guards that were stopped (SIGSTOP, a debugger), and kill those that keep a dead holder's board locked.

A stopped guard does not make its board safe, and it shares the lock, which keeps the board from every other
process. A living holder replaces its guard. If the holder is dead, a process that outlives it (the process
that ends COMMAND of `hil lease`, or the controller of a worker) continues the guard; otherwise the next
process that wants the board kills the guard and makes the board safe itself. The process that ends COMMAND
shares the lock, too: if it is stopped, it is killed likewise.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from hil.kernel_lock import lock_holders
from hil.process_stat import process_stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "GUARD_NAME",
    "LEASE_END_NAME",
    "LockKind",
    "StoppedGuard",
    "continue_guards_of",
    "end_stopped_guards",
    "guard_title",
    "has_lock",
    "is_guard",
    "is_stopped",
    "kill_if",
    "kill_stopped_sharers",
    "stopped_guard_of",
]

GUARD_NAME = "hil-guard"
"""The name of a guard process that `ps` shows, in `comm` and as the first word of the command line."""

LEASE_END_NAME = "hil-lease-end"
"""The name of the process that ends COMMAND of `hil lease`, and outlives `hil lease` by a moment."""

_END_S = 2.0


class LockKind(Enum):
    """A kernel lock, as proc(5) names it."""

    OF_LEASE = b"FLOCK"
    OF_REQUEST = b"OFDLCK"
    """The lock of a program that sends a request under a lease."""


@dataclass(frozen=True, slots=True)
class StoppedGuard:
    """A stopped guard whose holder is dead.

    Attributes:
        pid: The guard's pid.
        uid: The uid of the guard's user.
    """

    pid: int
    uid: int

    @property
    def remedy(self) -> str:
        """What to type if this process may not kill the guard."""
        return f"sudo kill -KILL {self.pid}    (then the next holder of the board makes it safe)"


def guard_title(holder: int) -> str:
    """Return the command line of a holder's guard."""
    return f"{GUARD_NAME} of pid {holder}"


def is_guard(pid: int) -> bool:
    """Return True if a process is a guard, by its name."""
    return _name_of(pid) == GUARD_NAME


def _outlives_holder(pid: int) -> bool:
    return _name_of(pid) in {GUARD_NAME, LEASE_END_NAME}


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def is_stopped(pid: int) -> bool:
    """Return True if a process is stopped; False if it runs, has ended, or cannot be inspected."""
    stat = process_stat(pid)
    return stat is not None and stat.is_stopped


def end_stopped_guards(descriptor: int) -> list[int]:
    """Kill what keeps the file of a dead holder locked, if only stopped processes do; return their pids.

    Does nothing if a living holder shares the lock. Only guards and processes that end COMMAND outlive a
    holder. Processes that this user may not inspect are not seen; both have the same user as their holder.

    Args:
        descriptor: The lock file, open in this process.
    """
    if not any(_outlives_holder(pid) and is_stopped(pid) for pid in _processes()):
        return []
    pidfds: dict[int, int] = {}
    try:
        for pid in _sharers(os.fstat(descriptor), LockKind.OF_LEASE):
            if not _outlives_holder(pid):
                return []
            with suppress(OSError):
                pidfds[pid] = os.pidfd_open(pid)
        if not all(_outlives_holder(pid) and is_stopped(pid) for pid in pidfds):
            return []  # checked again: a pidfd names one process, but a pid may be reused
        return [pid for pid, pidfd in pidfds.items() if _killed(pidfd)]
    finally:
        for pidfd in pidfds.values():
            os.close(pidfd)


def kill_stopped_sharers(descriptor: int, kind: LockKind) -> None:
    """Kill the stopped processes that share a lock of a file, except guards.

    Args:
        descriptor: The lock file, open in this process.
        kind: Which lock.
    """
    for pid in _sharers(os.fstat(descriptor), kind, _stopped_processes()):
        kill_if(pid, lambda pid: is_stopped(pid) and not is_guard(pid))


def kill_if(pid: int, is_meant: Callable[[int], bool], wait_s: float = _END_S) -> None:
    """Kill a process if it is still the one that is meant; do nothing if it may not be killed.

    The process is held by a pidfd while it is checked, because a pid may be reused.

    Args:
        pid: The process.
        is_meant: Called with its pid.
        wait_s: How long to wait for its end, in seconds.
    """
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if is_meant(pid):
                _killed(pidfd, wait_s)
        finally:
            os.close(pidfd)


def stopped_guard_of(file: os.stat_result) -> StoppedGuard | None:
    """Return the stopped guard of a dead holder, also one of another user; None if there is none.

    Args:
        file: The lock file. The kernel tells which process locked it: a run, or a guard.
    """
    for pid in lock_holders(file):
        guards = [pid] if Path(f"/proc/{pid}").exists() else _guards_of(pid)
        stopped = (_as_stopped(guard) for guard in guards if is_guard(guard))
        if (found := next(filter(None, stopped), None)) is not None:
            return found
    return None


def continue_guards_of(holder: int) -> None:
    """Continue the stopped guards of a process that ends; a guard in a debugger stays stopped.

    This is harmless: a guard whose holder lives goes on waiting, and a guard whose lease was ended without it
    does nothing.
    """
    for pid in _guards_of(holder):
        with suppress(OSError):  # the guard ended just now
            os.kill(pid, signal.SIGCONT)


def _guards_of(holder: int) -> Iterator[int]:
    title = guard_title(holder)
    return (pid for pid in _processes() if is_guard(pid) and _title_of(pid) == title)


def _as_stopped(pid: int) -> StoppedGuard | None:
    try:
        return StoppedGuard(pid, Path(f"/proc/{pid}").stat().st_uid) if is_stopped(pid) else None
    except OSError:
        return None


def _killed(pidfd: int, wait_s: float = _END_S) -> bool:
    """Kill a process and wait for its end; return False if it may not be killed."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        return False
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    return bool(ended.poll(wait_s * 1000))


def _sharers(file: os.stat_result, kind: LockKind, among: Iterable[int] | None = None) -> Iterator[int]:
    """Yield the processes that have a file open and locked, as far as this user may inspect them."""
    for pid in _processes() if among is None else among:
        if pid != os.getpid() and _shares_lock(pid, file, kind):
            yield pid


def _shares_lock(pid: int, file: os.stat_result, kind: LockKind) -> bool:
    with suppress(OSError):  # the process has ended, or is another user's
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(entry.stat(), file) and has_lock(entry.name, kind, pid):
                    return True
    return False


def has_lock(number: int | str, kind: LockKind, pid: int | str = "self") -> bool:
    """Return True if an open file has a lock of its own, or shares one (proc(5), `fdinfo`).

    Args:
        number: The descriptor.
        kind: Which lock.
        pid: The process that has it.

    Raises:
        OSError: /proc does not tell.
    """
    return kind.value in Path(f"/proc/{pid}/fdinfo/{number}").read_bytes()


def _stopped_processes() -> Iterator[int]:
    return (pid for pid in _processes() if is_stopped(pid))


def _processes() -> Iterator[int]:
    with suppress(OSError):
        yield from (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _title_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""
