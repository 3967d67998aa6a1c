"""The exclusive right to one board, on this machine, for as long as a process holds it.

Not in the firmware: the board answers whoever asks. The right is a lock file for each serial number; what its
holder wrote into it tells others whom to ask.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from hil.errors import BoardBusyError
from hil.lab.lock_file import LockFile, lock_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Holder", "Lease", "hold", "hold_any"]

POLL_S = 0.05  # flock tells nobody when it is given up


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the password database, as in containers
        return f"uid {os.getuid()}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a board, as its lock file says it.

    Attributes:
        user: Login name.
        pid: Process id.
        command: The command line, shortened.
        since: UTC, ISO 8601, when it began to hold it.
        test: Node id of the test that runs, or what else it is held for.
    """

    user: str = field(default_factory=_user)
    pid: int = field(default_factory=os.getpid)
    command: str = field(default_factory=lambda: " ".join(sys.argv)[:200])
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    test: str = ""

    def __str__(self) -> str:
        test = f" for {self.test}" if self.test else ""
        return f"held by {self.user} (pid {self.pid}, {self.command!r}) since {self.since}{test}"

    def to_json(self) -> bytes:
        """The record as it is written into a lock file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, record: bytes) -> Holder | None:
        """Read a record; None where a lock file has none, or one that is only half written."""
        try:
            facts = json.loads(record)
            words = {name: str(facts[name]) for name in ("user", "command", "since", "test")}
            return cls(pid=int(facts["pid"]), **words)
        except (ValueError, TypeError, KeyError):
            return None


class Lease:
    """The exclusive right to one board; a `with` block gives it back.

    Made by `hold` and `hold_any`.
    """

    def __init__(self, serial: str, lock: LockFile, holder: Holder) -> None:
        self.serial = serial
        self.holder = holder
        self._lock = lock
        lock.write(holder.to_json())

    def note(self, test: str) -> None:
        """Say in the lock file what the board is used for now."""
        self.holder = Holder(since=self.holder.since, test=test)
        self._lock.write(self.holder.to_json())

    def release(self) -> None:
        """Give the board back; harmless when repeated."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def hold(serial: str, *, wait_s: float = 0.0, test: str = "", folder: Path | None = None) -> Lease:
    """Hold one board; see `hold_any`."""
    return hold_any([serial], wait_s=wait_s, test=test, folder=folder)


def hold_any(
    serials: Sequence[str], *, wait_s: float = 0.0, test: str = "", folder: Path | None = None
) -> Lease:
    """Hold the first of these boards that is free, waiting `wait_s` seconds for one if none is.

    Raises:
        BoardBusyError: All stayed held; it names who holds the first of them.
        UsageError: The folder of the lock files cannot be used.
    """
    where = folder or lock_folder()
    locks = {serial: LockFile(where / f"hil-board-{serial}.lock") for serial in serials}
    taken: str | None = None
    try:
        taken = _first_free(locks, wait_s)
        return Lease(taken, locks[taken], Holder(test=test))
    finally:
        for serial, lock in locks.items():
            if serial != taken:
                lock.close()


def _first_free(locks: dict[str, LockFile], wait_s: float) -> str:
    deadline = time.monotonic() + wait_s
    while True:
        for serial, lock in locks.items():
            if lock.try_lock():
                return serial
        if time.monotonic() >= deadline:
            raise _busy(locks, wait_s)
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))


def _busy(locks: dict[str, LockFile], wait_s: float) -> BoardBusyError:
    serial, lock = next(iter(locks.items()))
    holder = Holder.from_json(lock.read())
    others = f" (and {len(locks) - 1} more boards are held)" if len(locks) > 1 else ""
    return BoardBusyError(
        f"board {serial} is in use{others}",
        why=f"{holder or 'held by a process that did not say who it is'}; waited {wait_s:g} s",
        remedy="wait longer (--hil-wait SECONDS), or ask them to end that run",
        serial=serial,
    )
