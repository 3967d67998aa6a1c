"""Prove that a disk is this board's stick: it goes with *off* and comes with *host*, as the mux turns.

The first disk that comes, or the only one, need not be the stick: a person may plug in another disk. A
round is *off*, then *host*, while every USB disk is watched. It proves a disk that came with *host* before
if only this disk goes at once and only this disk comes again: at the same socket, with the same names, and
as soon after *host* as before. Each time, disks are watched until the slowest stick would have come, so
that no other disk can be the only one while a stick is there. A disk whose times differ from a mux's must
follow for more rounds, or is not proven. To be mistaken for a stick, another disk would have to be plugged
in and out at the mux's times, while there is no stick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.dutlink.storage.mux_timing import EVEN_S, LEAVES_WITHIN_S, SLOWEST_S, Arrival
from hil.dutlink.storage.usb_sockets import UsbDisk, connected_s, devices_by_socket, disks_by_socket
from hil.dutlink.timing import Deadline, sleep, until
from hil.errors import StickAmbiguousError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["MuxTurns", "MuxWatch"]

_ROUNDS = 6
_SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class MuxTurns:
    """How to turn the mux of one board while it is watched, and how long to wait each time.

    Attributes:
        detach: Turns the storage off.
        attach: Calls `MuxWatch.begin`, turns the storage to the host, and calls `MuxWatch.turned`.
        appears_s: Seconds to wait for a disk to come.
        goes_s: Seconds to wait for a disk to go.
    """

    detach: Callable[[], None]
    attach: Callable[[], None]
    appears_s: float
    goes_s: float


@dataclass(slots=True)
class _Departures:
    """The sockets that became empty with *off*.

    Attributes:
        left: When the disk at each socket was last seen, in seconds after *off*.
        came: The sockets at which a disk came while the storage was off.
    """

    left: dict[str, float] = field(default_factory=dict)
    came: frozenset[str] = frozenset()

    @property
    def soon(self) -> frozenset[str]:
        """The sockets that became empty as soon as a mux detaches a disk."""
        return frozenset(socket for socket, last_s in self.left.items() if last_s <= LEAVES_WITHIN_S)


class MuxWatch:
    """Watch which disks come and go while one board's mux turns.

    Args:
        dev: The host's device folder.
        sys: The folder of the host's kernel for disks.
        ignored: The sockets of other boards' sticks, which come and go independently.
        only: The socket at which this board's stick was learned to come; None: it is not known.
        looked: Called at each look, with the seconds since *host*.
        slowest_s: The longest time that a stick needs to come; see `Host.slowest_stick_s`.

    Attributes:
        only: The argument.
        ignored: The argument, without `only`; nothing after `ignore_nothing`.
        slowest_s: The argument.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - where it looks, for what, and how long
        self,
        dev: Path,
        sys: Path,
        ignored: frozenset[str],
        only: str | None = None,
        looked: Callable[[float], None] = lambda _after_s: None,
        slowest_s: float = SLOWEST_S,
    ) -> None:
        self.only = only
        self.slowest_s = slowest_s
        # If simulated time is faster, other disks come and go sooner as well.
        pace = slowest_s / SLOWEST_S
        self._settle_s, self._even_s = _SETTLE_S * pace, EVEN_S * pace
        self._dev = dev
        self._sys = sys
        self.ignored = ignored - {only}
        self._looked = looked
        self._before: dict[str, UsbDisk] = {}
        self._devices: dict[str, str] = {}
        self._asked = self._host = Deadline(0.0)
        self._asking_s = self._last_look_s = 0.0

    def ignore_nothing(self) -> None:
        """Watch the sockets of other boards' sticks, too."""
        self.ignored = frozenset()

    def begin(self) -> None:
        """Note the disks, and the USB devices that may become disks, that are there before the mux turns."""
        self._before = disks_by_socket(self._sys)
        self._devices = devices_by_socket(self._sys)
        self._asked = Deadline(0.0)

    def turned(self) -> None:
        """Note the time at which the mux turned to the host."""
        self._host = Deadline(0.0)
        self._asking_s, self._last_look_s = self._asked.spent_s, 0.0

    def wait_for_disks(
        self, limit_s: float, wanted: frozenset[str] = frozenset(), settled_s: float = 0.0
    ) -> dict[str, Arrival]:
        """Wait until disks came at the wanted sockets, or at any but those of other boards' sticks.

        Args:
            limit_s: How long to wait, in seconds.
            wanted: The sockets; empty: any.
            settled_s: After a disk came, continue to watch until so many seconds after *host*.

        Returns:
            All disks that came and are there, including those at sockets of other boards' sticks.
        """
        came: dict[str, Arrival] = {}

        def look() -> bool:
            began_s = self._host.spent_s
            for socket, disk in self._ready_new_disks(disks_by_socket(self._sys)).items():
                if socket not in came or came[socket].disk.plug_number != disk.plug_number:
                    came[socket] = self._arrival(disk)
            self._last_look_s = began_s
            self._looked(self._host.spent_s)
            return wanted <= came.keys() if wanted else bool(self.watched(came))

        def look_on() -> None:
            look()

        if until(look, limit_s):  # another disk may come after it
            until(look_on, max(self._settle_s, settled_s - self._host.spent_s))
        now = disks_by_socket(self._sys)
        return {socket: one for socket, one in came.items() if _is_there(one.disk, now)}

    def _arrival(self, disk: UsbDisk) -> Arrival:
        after_s, since_s = self._host.spent_s, connected_s(self._sys, disk.socket)
        unseen_s = after_s - self._last_look_s + self._asking_s  # the mux may have turned when it was asked
        return Arrival(disk, after_s, None if since_s is None else after_s - since_s, unseen_s)

    def wait_for_learned(self, limit_s: float, after_s: float) -> dict[str, Arrival]:
        """Wait for the disk at the learned socket, and for disks that come at the same time.

        Args:
            limit_s: How long to wait, in seconds.
            after_s: The time after *host* at which it was learned to come, in seconds.
        """
        wanted = frozenset(filter(None, [self.only]))
        return self.wait_for_disks(limit_s, wanted, min(after_s, limit_s) + self._even_s)

    def elsewhere(self) -> list[UsbDisk]:
        """Return the disks that came at another socket than the learned one, without other boards' sticks."""
        now = disks_by_socket(self._sys)
        return [
            disk for socket, disk in self._new_disks(now).items() if socket not in {self.only, *self.ignored}
        ]

    def watched(self, sockets: Iterable[str]) -> frozenset[str]:
        """Return these sockets without those of other boards' sticks."""
        return frozenset(sockets) - self.ignored

    def prove(self, seen: dict[str, Arrival], turns: MuxTurns) -> Arrival | None:
        """Run rounds until one proves a disk; return None if no disk comes any more.

        The disk may be at another socket than the learned one, even at that of another board's stick.

        Args:
            seen: The disks that came with *host*.
            turns: Turns the storage.

        Raises:
            StickAmbiguousError: Other disks come and go all the time.
        """
        followed, in_a_row = "", 0
        disks: set[str] = set()
        for _ in range(_ROUNDS):
            gone = self._go(seen, turns)
            turns.attach()
            wanted = self.watched(gone.soon) or gone.soon
            last_s = max((seen[socket].after_s for socket in wanted if socket in seen), default=0.0)
            settled_s = max(self.slowest_s, min(last_s, turns.appears_s) + self._even_s)
            came = self.wait_for_disks(turns.appears_s, wanted, settled_s)
            disks |= {str(one.disk) for one in (*seen.values(), *came.values())}
            follower = self._follower(seen, gone, came)
            in_a_row = in_a_row + 1 if follower and follower.disk.socket == followed else int(bool(follower))
            followed = follower.disk.socket if follower else ""
            if not follower and not self.watched(came):
                return None
            if follower and in_a_row >= follower.rounds_after(seen[followed]):
                return follower
            seen = came
        raise StickAmbiguousError(
            "disks come and go by other hands, so that none is proven to be the board's stick",
            why=f"{' and '.join(sorted(disks))} came; the stick goes alone and at once, and comes back alone",
            remedy="leave other USB disks plugged in, or out, for half a minute, then do it again",
        )

    def _follower(
        self, seen: dict[str, Arrival], gone: _Departures, came: dict[str, Arrival]
    ) -> Arrival | None:
        """Return the only disk that went and came as a stick does, or None if there may be several."""
        # Disks that came in the round before, left soon after *off*, and came again, at the times of a mux.
        follow = [
            came[socket]
            for socket in gone.soon & seen.keys() & came.keys()
            if came[socket].rounds_after(seen[socket])
        ]
        # A disk at the socket of another board's stick counts only if no other disk follows.
        mine = [one for one in follow if one.disk.socket not in self.ignored] or follow
        if len(mine) != 1:
            return None
        socket = mine[0].disk.socket
        # Disks that left soon and came at the same time after *host*, whatever their names: it may be any.
        rivals = {other for other in gone.soon & came.keys() if came[other].came_about(mine[0].after_s)}
        # Disks that came or went at any time of the round, without other boards' sticks: a stick goes alone.
        moved = self.watched({*gone.left, *gone.came, *came})
        return mine[0] if rivals <= {socket} and moved <= {socket} else None

    def _go(self, seen: dict[str, Arrival], turns: MuxTurns) -> _Departures:
        """Turn the storage off, and watch which disks go."""
        before = disks_by_socket(self._sys)
        turns.detach()
        off, gone = Deadline(0.0), _Departures()
        last_s = 0.0

        def look() -> bool:
            nonlocal last_s
            at_s, now = off.spent_s, disks_by_socket(self._sys)
            for socket, disk in before.items():
                if not _is_there(disk, now):
                    gone.left.setdefault(socket, last_s)
            gone.came = frozenset(now.keys() - {s for s, disk in now.items() if _is_there(disk, before)})
            last_s = at_s
            return bool(self.watched(gone.left) & seen.keys())

        until(look, turns.goes_s)
        sleep(self._settle_s)  # another disk may go just after it
        look()
        return gone

    def _ready_new_disks(self, now: dict[str, UsbDisk]) -> dict[str, UsbDisk]:
        """Return the disks that came since the mux turned, and that can be used."""
        return {
            socket: disk
            for socket, disk in self._new_disks(now).items()
            if disk.is_ready and all((self._dev / medium.name).exists() for medium in disk.media)
        }

    def _new_disks(self, now: dict[str, UsbDisk]) -> dict[str, UsbDisk]:
        """Return the disks that were not there before the mux turned, nor their USB devices."""
        return {
            socket: disk
            for socket, disk in now.items()
            if not _is_there(disk, self._before) and self._devices.get(socket) != disk.plug_number
        }


def _is_there(disk: UsbDisk, now: dict[str, UsbDisk]) -> bool:
    """Return True if the disk is there and was not unplugged since."""
    return disk.socket in now and now[disk.socket].plug_number == disk.plug_number
