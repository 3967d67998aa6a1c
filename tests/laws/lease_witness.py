"""The lease of a board at this moment, by the kernel's list of locks and by the lock file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_LOCKS = Path("/proc/locks")

_LOOKS = 10
"""The kernel tells its locks by pages: a lock is left out if another one before it ends between two pages."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it is at one moment.

    Attributes:
        pid: The process that holds it, as the lock file says; 0 if it does not say.
        test: What it is held for.
        since: When it began, as the lock file says.
    """

    pid: int
    test: str
    since: str


def lease_of(folder: Path, serial: str) -> Lease | None:
    """Return a board's lease, or None if no process holds one."""
    for path in folder.glob(f"hil-board-{serial}*.lock"):
        try:
            locked = _is_locked(path.stat().st_ino)
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if locked:
            return _read(text)
    return None


def _is_locked(inode: int) -> bool:
    """Return True if a process holds a lock on the file; the lines of waiting processes have an arrow."""
    return any(_is_listed(f":{inode}") for _ in range(_LOOKS))


def _is_listed(ending: str) -> bool:
    lines = _LOCKS.read_text().splitlines()
    return any("->" not in line and line.split()[5].endswith(ending) for line in lines)


def _read(text: str) -> Lease:
    try:
        facts = json.loads(text)
        return Lease(int(facts["pid"]), str(facts["test"]), str(facts["since"]))
    except (ValueError, KeyError, TypeError):
        return Lease(0, "", "")
