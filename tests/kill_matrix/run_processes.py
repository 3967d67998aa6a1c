"""All processes of one run, orphans and guards included, and waiting until the last of them is gone.

Every process of a run names the run's own folder: in its environment, or, as a guard does, which has next to
no environment, in its arguments.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from pathlib import Path

GUARD = b"guard_process.py"


def processes_of(folder: Path) -> dict[int, bytes]:
    """Return the command line of each living process that names `folder`, by process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended, or it is another user's
                command = (entry / "cmdline").read_bytes()
                if os.fsencode(folder) in command + (entry / "environ").read_bytes():
                    found[int(entry.name)] = command.replace(b"\0", b" ")
    return found


def guards_of(folder: Path) -> list[int]:
    """Return the process ids of a run's guards."""
    return [pid for pid, command in processes_of(folder).items() if GUARD in command]


def wait_for_the_last(folder: Path, limit_s: float) -> dict[int, bytes]:
    """Wait until no process of the run is left; return those that are, when the time is over."""
    deadline = time.monotonic() + limit_s
    while left := processes_of(folder):
        if not _wait_for_all(left, deadline):
            return left
    return {}


def _wait_for_all(pids: dict[int, bytes], deadline: float) -> bool:
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], left_s)[0]:
                return False
        finally:
            os.close(descriptor)
    return True
