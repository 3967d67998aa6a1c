"""Which disk follows the mux, by watching it go with *off* and come with *host*.

The first disk that comes may be anybody's, and so may the only one. A round is *off*, then *host*, with every
USB disk watched. It proves a disk that had come with *host* before, if in the round this disk alone goes, and
after that it alone comes: in the same socket, calling itself the same, and as soon after *host* as before. A
hand that plugs disks in and out would have to do that at the mux's own pace, while the real stick is missing.
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
"""A busy host sees a stick at another pace each time: then it must follow once more."""

_SETTLE_S = 0.3
_UNEVEN_S = 0.35
_UNEVEN_PART = 0.25


class Mux(Protocol):
    """Turns the storage of one board."""

    def take_away(self) -> None:
        """Give the stick to nobody."""
        ...

    def give(self) -> None:
        """Give it to the host, between `Watch.begin` and `Watch.turned`."""
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
        disk: It.
        after_s: How long after *host* it could be used, in seconds.
    """

    disk: UsbDisk
    after_s: float

    def is_at_the_pace(self, after_s: float) -> bool:
        """Whether another coming, so long after *host*, is as soon as this one."""
        allowed_s = max(_UNEVEN_S, _UNEVEN_PART * max(after_s, self.after_s))
        return abs(after_s - self.after_s) <= allowed_s


class Watch:
    """Looks which disks come and go while one board's mux turns.

    Args:
        dev: The host's device folder.
        sys: The folder where the host's kernel tells about disks.
        ignored: Sockets of other boards' sticks, which come and go as they like.
        only: The one socket to look at; None: all others.
    """

    def __init__(self, dev: Path, sys: Path, ignored: frozenset[str], only: str | None = None) -> None:
        self.only = only
        self._dev = dev
        self._sys = sys
        self._ignored = ignored
        self._before: dict[str, UsbDisk] = {}
        self._host = Deadline(0.0)

    def begin(self) -> None:
        """Take note of what is there just before the mux turns to the host."""
        self._before = disks_by_socket(self._sys)

    def turned(self) -> None:
        """Take note that the mux has turned to the host: paces count from now on."""
        self._host = Deadline(0.0)

    def come(self, limit_s: float, wanted: frozenset[str] = frozenset()) -> dict[str, Coming]:
        """Wait until disks came in the wanted sockets, or in any; return all that came and are there."""
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
        """Return what came in other sockets than the only one that is looked at."""
        now = disks_by_socket(self._sys)
        return [disk for socket, disk in self._new(now).items() if socket not in {self.only, *self._ignored}]

    def prove(self, seen: dict[str, Coming], mux: Mux, patience: Patience) -> Coming | None:
        """Watch rounds until one proves a disk; None if nothing comes any more.

        Args:
            seen: What came with *host*.
            mux: Turns the storage.
            patience: How long to wait each time.

        Raises:
            StickAmbiguousError: Disks come and go by other hands all the time.
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
        """Turn the mux to nobody; return the sockets that emptied, and whether nothing else moved."""
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
        """What came, can be used, and is looked at."""
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
    """Whether this very coming of the disk is among those there now."""
    return disk.socket in now and now[disk.socket].coming == disk.coming
