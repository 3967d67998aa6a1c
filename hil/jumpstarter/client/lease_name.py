"""Names of Jumpstarter leases that tell which process holds them: how stale ones are found."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["LeaseName"]

_PATTERN = re.compile(r"hil-([0-9a-f]{8})-([0-9]+)-([0-9]+)-[0-9a-f]{6}")
_ENDED = {"Z", "X"}  # a state of who has ended, though nobody may have asked how yet
_START_FIELD = 19  # of /proc/PID/stat behind the command's name: starttime, in clock ticks since boot


@dataclass(frozen=True, slots=True)
class LeaseName:
    """Who holds a lease.

    Attributes:
        machine: Which machine, in this boot.
        pid: Which process.
        started: When it was started, so that a reused pid is another process.
    """

    machine: str
    pid: int
    started: int

    @classmethod
    def of_this_process(cls) -> Self:
        """Return this process's."""
        return cls(_this_machine(), os.getpid(), _start_of(os.getpid()) or 0)

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The inverse of `fresh`; None for a lease that somebody else has named."""
        found = _PATTERN.fullmatch(name)
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    def fresh(self) -> str:
        """Return a name for one more lease of the process, as Kubernetes wants names."""
        return f"hil-{self.machine}-{self.pid}-{self.started}-{secrets.token_hex(3)}"

    def is_of(self, pids: Collection[int]) -> bool:
        """Whether one of these processes of this machine has it."""
        return self.machine == _this_machine() and self.pid in pids

    @property
    def is_stale(self) -> bool:
        """Whether it was of a process of this machine that has ended."""
        return self.machine == _this_machine() and _start_of(self.pid) != self.started


def _this_machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    return hashlib.sha256(boot + bytes(Path("/proc/self/ns/pid").readlink())).hexdigest()[:8]


def _start_of(pid: int) -> int | None:
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = facts.rpartition(")")[2].split()
    return None if fields[0] in _ENDED else int(fields[_START_FIELD])
