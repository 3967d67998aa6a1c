"""All processes of one run, orphans and guards included, and waiting until the last of them is gone.

Every process of a run names the run's own folder in its environment or its arguments; a guard, which has next
to no environment and a name of its own, has a lock file of that folder open.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from pathlib import Path

GUARD = b"hil-guard"


def processes_of(folder: Path) -> dict[int, bytes]:
    """Return the command line of each living process that names `folder`, by process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended, or it is another user's
                command = (entry / "cmdline").read_bytes()
                named = command + (entry / "environ").read_bytes()
                if os.fsencode(folder) in named or _has_a_file_of(folder, entry, command):
                    found[int(entry.name)] = command.replace(b"\0", b" ")
    return found


def _has_a_file_of(folder: Path, process: Path, command: bytes) -> bool:
    if not command.startswith(GUARD):
        return False
    return any(folder in (entry.readlink()).parents for entry in (process / "fd").iterdir())


def guards_of(folder: Path) -> list[int]:
    """Return the process ids of a run's guards."""
    return [pid for pid, command in processes_of(folder).items() if command.startswith(GUARD)]


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
