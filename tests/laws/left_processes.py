"""The processes that a run left: its guards, for the most part, and whether they are done."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from tests.laws.watched_boards import WatchedBoards

SETTLED_LIMIT_S = 60.0
"""How long guards may need after a run, at boards that answer."""

LOOK_EVERY_S = 0.03
_CLEAN_LOOKS = 2


@dataclass(frozen=True, slots=True)
class Left:
    """A process.

    Attributes:
        pid: Its process id.
        command: Its command line.
        files: The files that it has open.
    """

    pid: int
    command: str
    files: frozenset[str]


def processes_of(folder: Path, pids: AbstractSet[int]) -> list[Left]:
    """Return each living process that names `folder`, and each guard of one of these processes."""
    guards = tuple(f"hil-guard of pid {pid}" for pid in pids)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                command = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                if command in guards or str(folder).encode() in (entry / "environ").read_bytes():
                    found.append(Left(int(entry.name), command, _files(entry)))
    return found


def _files(entry: Path) -> frozenset[str]:
    files = set()
    for link in (entry / "fd").iterdir():
        with suppress(OSError):
            files.add(str(link.readlink()))
    return frozenset(files)


def settle(folder: Path, pids: AbstractSet[int], boards: WatchedBoards) -> list[str]:
    """Wait until no process of the run has to do with a board that can be used, twice in a row."""
    deadline = time.monotonic() + SETTLED_LIMIT_S
    clean = 0
    waited: list[str] = []
    while time.monotonic() < deadline:
        truths = [truth for truth in boards.truths().values() if not truth["faults"]]
        locks = {str(folder / "locks" / f"hil-board-{truth['serial']}.lock") for truth in truths}
        waited = [left.command for left in processes_of(folder, pids) if not locks.isdisjoint(left.files)]
        leases = [lease for truth in truths if (lease := truth["lease"]) and lease.pid != os.getpid()]
        clean = 0 if waited or leases else clean + 1
        if clean == _CLEAN_LOOKS:
            return []
        time.sleep(LOOK_EVERY_S)
    return waited or ["(its lease is still held)"]


def end_all(folder: Path, pids: AbstractSet[int]) -> None:
    """Kill every process that is left."""
    for left in processes_of(folder, pids):
        with suppress(OSError):
            os.kill(left.pid, 9)
