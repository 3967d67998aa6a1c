"""Prove which disk follows the mux, by watching it go with *off* and come with *host*.

The first disk that comes, or the only one, need not be the stick: a person may plug one in. A round is *off*,
then *host*, while every USB disk is watched. It proves a disk that came with *host* before if this disk alone
goes and this disk alone comes again: at the same socket, with the same names, and as soon after *host* as
before. A person who plugs disks in and out would have to keep the mux's own times, without the stick.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hil.dutlink.sockets import UsbDisk, disks_by_socket
from hil.dutlink.waiting import Deadline, hold, until
from hil.errors import StickAmbiguousError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Coming", "Mux", "Patience", "Watch"]

_ROUNDS = 5
_UNEVEN_ROUNDS = 2
"""Rounds that prove a disk that comes sooner or later each time, as on a busy host."""

_SETTLE_S = 0.3
_UNEVEN_S = 0.35
_UNEVEN_PART = 0.25
"""Two times after *host* are the same if they differ by at most these seconds, or this part of the longer."""


class Mux(Protocol):
    """Turns the storage of one board."""

    def take_away(self) -> None:
        """Turn the storage off."""
        ...

    def give(self) -> None:
        """Call `Watch.begin`, turn the storage to the host, and call `Watch.turned`."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        appears_s: For a disk to come.
        goes_s: For a disk to go.
    """

    appears_s: float
    goes_s: float


@dataclass(frozen=True, slots=True)
class Coming:
    """A disk that came with *host*.

    Attributes:
        disk: The disk.
        after_s: How long after *host* it could be used, in seconds.
    """

    disk: UsbDisk
    after_s: float

    def is_at_the_pace(self, after_s: float) -> bool:
        """Return True if a disk that came so long after *host* came as soon as this one."""
        allowed_s = max(_UNEVEN_S, _UNEVEN_PART * max(after_s, self.after_s))
        return abs(after_s - self.after_s) <= allowed_s


class Watch:
    """Watch which disks come and go while one board's mux turns.

    Args:
        dev: The host's device folder.
        sys: The folder where the host's kernel tells about disks.
        ignored: Sockets of other boards' sticks, which come and go as they like.
        only: The only socket to watch; None: all but the ignored ones.
    """

    def __init__(self, dev: Path, sys: Path, ignored: frozenset[str], only: str | None = None) -> None:
        self.only = only
        self._dev = dev
        self._sys = sys
        self._ignored = ignored
        self._before: dict[str, UsbDisk] = {}
        self._host = Deadline(0.0)

    def begin(self) -> None:
        """Note the disks that are there just before the mux turns to the host."""
        self._before = disks_by_socket(self._sys)

    def turned(self) -> None:
        """Note the time at which the mux turned to the host: `Coming.after_s` counts from it."""
        self._host = Deadline(0.0)

    def come(self, limit_s: float, wanted: frozenset[str] = frozenset()) -> dict[str, Coming]:
        """Wait until disks came at all the wanted sockets, or at any; return all that came and are there."""
        came: dict[str, Coming] = {}

        def look() -> bool:
            for socket, disk in self._news(disks_by_socket(self._sys)).items():
                if socket not in came or came[socket].disk.coming != disk.coming:
                    came[socket] = Coming(disk, self._host.spent_s)
            return wanted <= came.keys() if wanted else bool(came)

        until(look, limit_s)
        if came and self.only is None:
            hold(_SETTLE_S)  # another one may come just after it
            look()
        now = disks_by_socket(self._sys)
        return {socket: one for socket, one in came.items() if _is_there(one.disk, now)}

    def elsewhere(self) -> list[UsbDisk]:
        """Return the disks that came at other sockets than the only one that is watched."""
        now = disks_by_socket(self._sys)
        return [disk for socket, disk in self._new(now).items() if socket not in {self.only, *self._ignored}]

    def prove(self, seen: dict[str, Coming], mux: Mux, patience: Patience) -> Coming | None:
        """Watch rounds until one proves a disk; return None if no disk comes any more.

        Args:
            seen: What came with *host*.
            mux: Turns the storage.
            patience: How long to wait each time.

        Raises:
            StickAmbiguousError: Other disks came or went in each round.
        """
        followed: Counter[str] = Counter()
        told: set[str] = set()
        for _ in range(_ROUNDS):
            went, is_quiet = self._go(seen, mux, patience.goes_s)
            mux.give()
            came = self.come(patience.appears_s, went)
            if not came:
                return None
            told |= {str(one.disk) for one in (*seen.values(), *came.values())}
            if is_quiet and len(went) == 1 and came.keys() == went:
                socket = next(iter(went))
                before, now = seen[socket], came[socket]
                if now.disk.names == before.disk.names:
                    followed[socket] += 1
                    if before.is_at_the_pace(now.after_s) or followed[socket] >= _UNEVEN_ROUNDS:
                        return now
            seen = came
        raise StickAmbiguousError(
            "disks come and go by other hands, so that none is proven to be the board's stick",
            why=f"{' and '.join(sorted(told))} came; the stick goes alone, and comes back alone",
            remedy="leave other USB disks plugged in, or out, for half a minute, then do it again",
        )

    def _go(self, seen: dict[str, Coming], mux: Mux, limit_s: float) -> tuple[frozenset[str], bool]:
        """Turn the storage off; return the sockets that emptied, and whether no other disk came or went."""
        before = self._watched(disks_by_socket(self._sys))
        mux.take_away()

        def gone() -> frozenset[str]:
            now = disks_by_socket(self._sys)
            return frozenset(socket for socket, one in seen.items() if not _is_there(one.disk, now))

        until(lambda: bool(gone()), limit_s)
        if self.only is None:
            hold(_SETTLE_S)  # another one may go just after it
        went, now = gone(), self._watched(disks_by_socket(self._sys))
        moved = {disk.socket for disk in before.values() if not _is_there(disk, now)}
        moved |= {disk.socket for disk in now.values() if not _is_there(disk, before)}
        return went, moved <= went

    def _news(self, now: dict[str, UsbDisk]) -> dict[str, UsbDisk]:
        """Return the new disks that can be used, at watched sockets."""
        return {
            socket: disk
            for socket, disk in self._watched(self._new(now)).items()
            if disk.is_ready and all((self._dev / medium.name).exists() for medium in disk.media)
        }

    def _new(self, now: dict[str, UsbDisk]) -> dict[str, UsbDisk]:
        return {socket: disk for socket, disk in now.items() if not _is_there(disk, self._before)}

    def _watched(self, disks: dict[str, UsbDisk]) -> dict[str, UsbDisk]:
        if self.only is not None:
            return {socket: disk for socket, disk in disks.items() if socket == self.only}
        return {socket: disk for socket, disk in disks.items() if socket not in self._ignored}


def _is_there(disk: UsbDisk, now: dict[str, UsbDisk]) -> bool:
    """Return True if the disk is there and was not unplugged since it was seen."""
    return disk.socket in now and now[disk.socket].coming == disk.coming
