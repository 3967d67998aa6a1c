"""The board's stick on this host: found by watching the mux, or at the socket that was learned earlier."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.storage.learning_turn import Turn
from hil.dutlink.storage.mux_follower import Mux, Patience, Watch
from hil.dutlink.storage.mux_timing import LEAVES_WITHIN_S, SLOWEST_S, Coming
from hil.dutlink.storage.usb_disks import name_of, place_of
from hil.dutlink.storage.usb_sockets import Learned, OwnMemory, UsbDisk, board_is_at, disks_by_socket
from hil.dutlink.timing import until
from hil.errors import (
    FlashError,
    StickAmbiguousError,
    StickMissingError,
    StickMovedError,
    StickStayedError,
    StorageError,
    WrongDiskError,
)
from hil.flash.disk.sysfs import list_disks
from hil.flash.disk.users import is_of_this_system

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.storage.usb_sockets import StickMemory
    from hil.dutlink.usb.access import Access

__all__ = ["APPEARS_WITHIN_S", "GOES_WITHIN_S", "StickNode"]

APPEARS_WITHIN_S = 15.0
"""Seconds until the stick's node must be there after `host`; 3.4 to 3.7 were measured."""

GOES_WITHIN_S = 5.0
"""Seconds until it must be gone after `dut` or `off`; 0.1 to 0.5 were measured."""

_APART_S = 1.5
"""Seconds between two boards' turns to the host: their sticks' comings are then told apart by their times."""

_NAMED_WITHIN_S = 2.0


class StickNode:
    """The stick's disk and node, and the turn to find them.

    Args:
        serial: The board's serial number.
        place: The USB port of the board (`1-2.3`); empty: not known.
        dev: The host's device folder.
        sys: The folder where the host's kernel tells about disks.
        wired: The node's path, where the wiring names it: it must lead to the disk that follows the mux.
        access: Permission to use the board.
        memory: Keeps what is learned; None: this object alone.
        slowest_s: Seconds after *host* until a stick that is there has come; see `Host.slowest_stick_s`.

    Attributes:
        before: The disks that were there when the stick was last about to come, by `BlockDevice.key`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a stick is found by
        self,
        serial: str,
        place: str,
        dev: Path,
        sys: Path,
        wired: Path | None,
        access: Access,
        memory: StickMemory | None = None,
        slowest_s: float = SLOWEST_S,
    ) -> None:
        self._slowest_s = slowest_s
        self.before: frozenset[str] = frozenset()
        self._serial = serial
        self._place = place
        self._dev = dev
        self._sys = sys
        self._wired = wired
        self._access = access
        self._memory: StickMemory = memory if memory is not None and place else OwnMemory()
        self._turn = Turn(dev, APPEARS_WITHIN_S + LEAVES_WITHIN_S)
        self._apart = Turn(sys / "block", _APART_S)
        self._is_alone = False
        self._watch: Watch | None = None
        self._found: Path | None = None
        self._bystanders: frozenset[str] = frozenset()
        self._learns = False
        self._here: UsbDisk | None = None

    @property
    def path(self) -> Path | None:
        """The stick's node, or None if it is not wired and was not found yet."""
        return self._found if self._is_namesake(self._wired) else self._wired or self._found

    @property
    def here(self) -> UsbDisk | None:
        """The disk that is proven to be the stick, or None if it is not there (any more)."""
        disk = self._here
        if disk is not None:
            now = disks_by_socket(self._sys).get(disk.socket)
            if now is None or now.coming != disk.coming:
                disk = self._here = None
        return disk

    @property
    def is_awaited(self) -> bool:
        """Whether the disks were noted before the mux turned, so that a new one can be told."""
        return self._watch is not None and (self._watch.only is not None or self._turn.is_held)

    def expect(self, take_away: Callable[[], float]) -> None:
        """Begin to watch for the stick, before the mux is turned to the host.

        If other processes cannot know its socket, this takes the turn, so that no other board learns now.

        Args:
            take_away: Makes sure that the stick is not on the host, and returns for how many seconds it has
                not been there.

        Raises:
            StorageError: Another process has been looking for its stick for too long.
            StickStayedError: There is a disk at its socket although the storage is off.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        known = self._recall()
        if known is None or not self._memory.is_shared:
            self._turn.take()
        try:
            away_s = take_away()
            self._here = None
            if known is not None:
                self.wait_until_gone(GOES_WITHIN_S, "off")
            elif list_disks(self._sys):
                before = disks_by_socket(self._sys)
                until(
                    lambda: before.keys() - disks_by_socket(self._sys).keys() or None,
                    LEAVES_WITHIN_S - away_s,
                )
            others = self._sockets_of_others()
            only = known.socket if known else None
            self._watch = Watch(self._dev, self._sys, others, only, self._looked, self._slowest_s)
        except BaseException:
            self.end_turn()
            raise

    def note_before(self) -> None:
        """Note which disks are there just before the mux turns to the host, not just after another one."""
        if not self._is_alone:
            with suppress(StorageError):  # without it, a coming that may be another board's is watched again
                self._apart.take()
        self.before = frozenset(disk.key for disk in list_disks(self._sys))
        self._bystanders = frozenset(disk.sighting for disk in disks_by_socket(self._sys).values())
        if self._watch is not None:
            self._watch.begin()

    def turned(self) -> None:
        """Note the time at which the mux turned to the host."""
        if self._watch is not None:
            self._watch.turned()

    def wait(self, timeout_s: float, mux: Mux, patience: Patience) -> UsbDisk | None:
        """Wait until the stick is there, can be used, and is proven; return None if it does not come.

        The turn lasts until `end_turn`. A stick whose socket is not known must go and come once more.

        Args:
            timeout_s: How long it may take to come the first time, in seconds.
            mux: Turns the storage.
            patience: How long to wait each time after that.

        Raises:
            StickAmbiguousError: Disks come and go by other hands.
            StickMovedError: A disk came, but not where the stick was learned to come.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        watch = self._watch
        if watch is None or self.here is not None:
            return self.here
        self._turn.keep()
        came = self._come(watch, timeout_s)
        if not came:
            if watch.only is not None and (others := watch.elsewhere()):
                raise self._moved(watch.only, others)
            return None
        proven = self._as_learned(came) or self._proven(watch, came, mux, patience)
        if proven is None:
            return None
        if len(proven.disk.media) > 1:
            raise _two_media(proven.disk)
        self._learn(proven)
        self._here, self._watch = proven.disk, None
        self._found = self._name(proven.disk)
        return proven.disk

    def _come(self, watch: Watch, timeout_s: float) -> dict[str, Coming]:
        """Return what came; empty if it does not include what may be the stick."""
        known = self._recall()
        if known is None:
            came = watch.come(timeout_s, settled_s=watch.slowest_s)
        else:
            came = watch.come_as_learned(timeout_s, known.came_after_s)
        self._apart.end()
        if came and self._learns and not watch.watched(came):
            watch.ignored = frozenset()  # cables were swapped: what is said of other boards' sockets is old
        may_include_stick = watch.only in came if watch.only else watch.watched(came)
        return came if may_include_stick else {}

    def _proven(self, watch: Watch, came: dict[str, Coming], mux: Mux, patience: Patience) -> Coming | None:
        """Watch the mux turn while no other board does so that must watch it, too.

        Raises:
            StickMovedError: The disk that follows is not where the stick was learned to come.
        """
        if not self._turn.is_held:
            self._turn.take()
            self._turn.keep()
        self._apart.take()
        self._apart.keep()
        # A stick that another mux takes away during the round cannot come before the round ends.
        self._is_alone = True
        try:
            proven = watch.prove(came, mux, patience)
        finally:
            self._is_alone = False
            self._apart.end()
        if proven is not None and watch.only not in {None, proven.disk.socket}:
            raise self._moved(str(watch.only), [proven.disk])
        return proven if proven is not None and watch.watched([proven.disk.socket]) else None

    def _looked(self, after_host_s: float) -> None:
        """Let another board turn to the host as soon as the two comings cannot be mistaken."""
        if after_host_s >= _APART_S and not self._is_alone:
            self._apart.end()

    def check_wired(self, written: str = "") -> None:
        """Return if the node that the wiring names leads to the stick, as soon as udev has made the name.

        Args:
            written: What has been written already, for the error.

        Raises:
            WrongDiskError: It leads elsewhere.
        """
        disk, wired = self.here, self._wired
        if disk is None or wired is None:
            return
        node = self._dev / disk.media[0].name
        if self._is_namesake(wired):  # udev gave the name that both claim to the other one
            return
        if not until(lambda: os.path.realpath(wired) == os.path.realpath(node), _NAMED_WITHIN_S):
            reasons = [f"what follows the mux of board {self._serial} is {disk}"]
            if written:
                reasons.append(written)
            raise WrongDiskError(
                f"{wired} is not proven to be the board's stick",
                why="; ".join(reasons),
                remedy=f"hil enroll --board {self._serial} corrects the lab file{self._by_path(node)}",
                serial=self._serial,
            )

    def _is_namesake(self, node: Path | None) -> bool:
        """Return True if a node is of another disk, which calls itself as the stick that is here does."""
        disk = self._here
        if node is None or disk is None:
            return False
        name = Path(os.path.realpath(node)).name
        return any(
            other.names[:3] == disk.names[:3] and any(medium.name == name for medium in other.media)
            for other in disks_by_socket(self._sys).values()
            if other.socket != disk.socket
        )

    def _by_path(self, node: Path) -> str:
        """Name a disk by its place on the bus, for a remedy; empty where udev has no such name."""
        found = place_of(self._dev, node.name)
        return f', or name it there by its place: stick = "{found}"' if found else ""

    def place(self, disk: UsbDisk) -> Path:
        """Return udev's name of a disk by its place on the bus, else the kernel's.

        No disk elsewhere takes it; a name by serial number leads to the last disk that tells this one.
        """
        node = self._dev / disk.media[0].name
        return place_of(self._dev, node.name) or node

    def possible(self) -> tuple[list[UsbDisk], bool]:
        """Return the disks of this host that may be the stick, and whether the only one of them is it.

        A proven disk is certain, and so is one with the learned names at the learned socket. Otherwise each
        removable USB disk may be it, except for:

        - disks that were there while the storage was off;
        - the disk that this system runs from;
        - other boards' sticks. If only another user's file names it as such, it still may be this board's
          stick if another file says so.
        """
        here = self.here
        if here is not None:
            return [here], True
        now = disks_by_socket(self._sys)
        known = self._recall()
        there = now.get(known.socket) if known is not None else None
        if known is not None and there is not None and there.names == known.names:
            return [there], True
        away = self._bystanders | (known.bystanders if known is not None else frozenset())
        claimed = {one.socket for serial, one in self._memory.of_others() if serial == self._serial}
        others = {
            (one.socket, one.names)
            for _, one in self._others()
            if not one.source or one.socket not in claimed
        }
        return [
            disk
            for disk in now.values()
            if disk.sighting not in away and (disk.socket, disk.names) not in others and _may_be_a_stick(disk)
        ], False

    def wait_until_gone(self, timeout_s: float, position: str) -> None:
        """Wait until the stick is gone; return at once if no stick is known.

        Args:
            timeout_s: How long, in seconds.
            position: To what the storage was turned, for the error.

        Raises:
            StickStayedError: It is still there.
        """
        if until(lambda: not self._still_there(), timeout_s):
            return
        known = self._recall()
        there = self.path or (known and f"a disk at USB socket {known.socket}")
        self._found = self._here = None
        raise StickStayedError(
            f"{there} is still there {timeout_s:.1f} s after the storage was turned to {position}",
            why="it is not this board's stick, or the mux did not turn",
            remedy=f"see which disk follows the board: hil storage learn --board {self._serial}",
            serial=self._serial,
        )

    def forget(self) -> None:
        """Forget the stick's socket, after the cabling has changed."""
        self._memory.forget()
        self._here = self._found = None
        self._learns = True

    def doubt(self, image: str) -> None:
        """Note, for all that use this board here, that the stick may boot an image that is not proven."""
        self._memory.doubt(image)

    def check_proven(self) -> None:
        """Return unless the stick may boot an image that was written and not read back.

        Raises:
            FlashError: It may.
        """
        image = self._memory.doubted()
        if image:
            raise FlashError(
                f"board {self._serial}: the stick was not attached to the DUT: {image} was written "
                "but not verified",
                why="the flash was interrupted before verification",
                remedy=f"hil flash --board {self._serial} once more, which writes only what differs; "
                f"or hil storage dut --force --board {self._serial} (force=True in Python)",
                serial=self._serial,
            )

    def end_turn(self) -> None:
        """End the turn, so that other boards can learn; harmless when repeated."""
        self._watch = None
        self._turn.end()
        self._apart.end()

    def missing(self, timeout_s: float) -> StickMissingError:
        """Return the error for a stick that did not come within `timeout_s` seconds."""
        known = self._recall()
        there = f"no USB disk came at socket {known.socket}" if known else "no USB disk appeared"
        what = f"board {self._serial}: no stick on the host {timeout_s:.1f} s after it was turned there"
        claimed = self._claimed_by_others() if known is None else []
        if claimed:
            disk, other, learned = claimed[0]
            by = f"by the file {learned.source} of another user" if learned.source else "as it was learned"
            wrong = (
                f"if that is wrong: hil storage learn --board {self._serial} (it trusts no other user's file)"
                if learned.source
                else f"if that is wrong: hil storage learn --board {other}, then --board {self._serial}"
            )
            return StickMissingError(
                what,
                why=f"only {disk} came, where {by} the stick of board {other} comes",
                remedy=wrong,
                serial=self._serial,
            )
        return StickMissingError(
            what,
            why=there,
            remedy="see whether a stick is plugged into the board, and lsblk; after cabling has changed: "
            f"hil storage learn --board {self._serial}",
            serial=self._serial,
        )

    def _claimed_by_others(self) -> list[tuple[UsbDisk, str, Learned]]:
        """Return the disks that came at sockets of other boards' sticks, with these boards."""
        now, ignored = disks_by_socket(self._sys), self._sockets_of_others()
        return [
            (now[learned.socket], serial, learned)
            for serial, learned in self._others()
            if learned.socket in now.keys() & ignored and now[learned.socket].sighting not in self._bystanders
        ]

    def _recall(self) -> Learned | None:
        """Return what was learned, or None if the board is plugged in elsewhere now."""
        known = self._memory.recall()
        return known if known is not None and known.board == self._place else None

    def _as_learned(self, came: dict[str, Coming]) -> Coming | None:
        """Return the disk that came as it was learned, if no other one came as soon after *host*.

        Where cables were swapped, another board's mux may bring a disk to this socket; then this board's mux
        brings one elsewhere.
        """
        known = self._recall()
        coming = came.get(known.socket) if known else None
        if known is None or coming is None or coming.disk.names != known.names:
            return None
        alike = [one for one in came.values() if one.is_at(known.came_after_s)]
        return coming if alike == [coming] else None

    def _learn(self, proven: Coming) -> None:
        learned = Learned(
            self._place, proven.disk.socket, proven.disk.names, proven.after_s, self._bystanders
        )
        known = self._recall()
        if known is None or not (
            (known.socket, known.names, known.bystanders)
            == (learned.socket, learned.names, learned.bystanders)
            and proven.is_at(known.came_after_s)
        ):
            self._memory.keep(learned)

    def _others(self) -> list[tuple[str, Learned]]:
        """Return what is known of other boards that are still at their USB ports."""
        return [
            (serial, learned)
            for serial, learned in self._memory.of_others()
            if serial != self._serial and board_is_at(self._sys, learned.board, serial)
        ]

    def _sockets_of_others(self) -> frozenset[str]:
        """Return the sockets of other boards' sticks; while learning, by no other user's file."""
        return frozenset(
            learned.socket for _, learned in self._others() if not (self._learns and learned.source)
        )

    def _name(self, disk: UsbDisk) -> Path:
        """Return udev's name of a disk, or the kernel's if another disk here has the same names."""
        node = self._dev / disk.media[0].name
        namesake = any(
            other.names[:3] == disk.names[:3] and other.socket != disk.socket
            for other in disks_by_socket(self._sys).values()
        )
        if namesake or not (self._dev / "disk").is_dir():
            return node
        return until(lambda: name_of(self._dev, node.name), _NAMED_WITHIN_S) or node

    def _still_there(self) -> bool:
        known = self._recall()
        now = disks_by_socket(self._sys)
        if known is not None and known.socket in now:
            return True
        if self.path is None or not self.path.exists():
            return False
        name, others = Path(os.path.realpath(self.path)).name, self._sockets_of_others()
        return not any(
            disk.socket in others and name in {one.name for one in disk.media} for disk in now.values()
        )

    def _moved(self, socket: str, others: list[UsbDisk]) -> StorageError:
        return StickMovedError(
            f"board {self._serial}: no stick came at USB socket {socket}, where it was learned to come",
            why=f"{' and '.join(map(str, others))} came instead, which may be another user's",
            remedy="put the board's cable back; or, if the stick is to come elsewhere from now on: "
            f"hil storage learn --board {self._serial}",
            serial=self._serial,
        )


def _may_be_a_stick(disk: UsbDisk) -> bool:
    return any(medium.is_removable for medium in disk.media) and not any(
        is_of_this_system(medium) for medium in disk.media
    )


def _two_media(disk: UsbDisk) -> StickAmbiguousError:
    return StickAmbiguousError(
        f"{len(disk.media)} disks at USB socket {disk.socket} follow the mux",
        why=" and ".join(medium.name for medium in disk.media),
        remedy="leave one card in the reader",
    )
