"""Commands that `hil lease` runs use the board that it holds: the lease is theirs while it lasts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hil.errors import BoardBusyError
from hil.lab.lease import holder_of
from hil.lab.shared_folder import lock_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LEASED", "is_borrowed", "refuse_what_is_borrowed"]

LEASED = "HIL_LEASE"
"""The environment variable that tells a command whose lease it runs under: a pid."""


def is_borrowed(serial: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs under a `hil lease` of that board: the lock's holder is above it.

    The environment alone proves nothing: it outlives its lease, and is passed on to others.

    Raises:
        UsageError: The lock folder cannot be used.
    """
    leader = environ.get(LEASED, "")
    if not leader.isdecimal():
        return False
    holder = holder_of(lock_folder(), serial)
    return holder is not None and holder.pid == int(leader) and int(leader) in _above(os.getpid())


def refuse_what_is_borrowed(serials: Sequence[str]) -> None:
    """Refuse to wait for boards that a `hil lease` above this process holds: it waits for this process.

    Raises:
        BoardBusyError: Only such boards would do.
    """
    if serials and all(is_borrowed(serial) for serial in serials):
        raise BoardBusyError(
            f"board {', '.join(serials)} is held by the `hil lease` that runs this",
            why="a test run takes a lease of its own, and this one would never come",
            remedy="run it without hil lease",
            serial=serials[0],
        )


def _above(pid: int) -> list[int]:
    """The processes above one, nearest first."""
    line: list[int] = []
    while pid > 1 and len(line) < 1000:  # noqa: PLR2004 - more than any tree has; a race must not become a loop
        pid = _parent(pid)
        line.append(pid)
    return line


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - proc(5)
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
