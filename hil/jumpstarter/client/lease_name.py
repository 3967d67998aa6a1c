"""Names of Jumpstarter leases, which identify the process that holds the lease: so stale leases are found."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hil.process_stat import process_stat

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["LeaseName"]

_PATTERN = re.compile(r"hil-([0-9a-f]{8})-([0-9]+)-([0-9]+)-[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class LeaseName:
    """The process that holds a lease.

    Attributes:
        machine: Identifies machine, boot and pid namespace.
        pid: The process.
        started: When the process was started, since a pid may be reused.
    """

    machine: str
    pid: int
    started: int

    @classmethod
    def of_this_process(cls) -> Self:
        """Return the part of a name that identifies this process."""
        return cls(_this_machine(), os.getpid(), _start_of(os.getpid()) or 0)

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Return the process that a name from `fresh` identifies, or None for any other name."""
        found = _PATTERN.fullmatch(name)
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    def fresh(self) -> str:
        """Return a new name for a lease of this process that Kubernetes accepts."""
        return f"hil-{self.machine}-{self.pid}-{self.started}-{secrets.token_hex(3)}"

    def is_of(self, pids: Collection[int]) -> bool:
        """Return whether one of these processes of this machine holds the lease."""
        return self.machine == _this_machine() and self.pid in pids

    @property
    def is_stale(self) -> bool:
        """Whether the lease was held by a process of this machine that has ended."""
        return self.machine == _this_machine() and _start_of(self.pid) != self.started


def _this_machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    return hashlib.sha256(boot + bytes(Path("/proc/self/ns/pid").readlink())).hexdigest()[:8]


def _start_of(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since boot, or None if it has ended."""
    stat = process_stat(pid)
    return stat.started if stat is not None and not stat.has_ended else None
