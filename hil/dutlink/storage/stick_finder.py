"""Find the board's stick on this host: by watching the mux, or at the socket that was learned earlier.

What a `StickFinder` says of the stick:

    the stick                  here                           path                       is_awaited
    was not looked for         None                           wired, or None             False
    is watched for             None                           wired, or found earlier    True
    was proven by `wait`       the disk                       wired, or found now        False
    is turned away, unplugged  the disk, until it has left    wired, or found earlier    False

It has left 0.1 to 0.5 s after the mux turned; only the mux's position says at once that it goes. The disks
that were there just before the mux turned to the host, so without the stick, are in `before` (by `key`) and
in `_bystanders` (by `identity`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.storage.host_lock import SearchLocks
from hil.dutlink.storage.learned_sticks import LearnedSticks
from hil.dutlink.storage.mux_timing import LEAVES_WITHIN_S, Arrival
from hil.dutlink.storage.stick_errors import stick_missing, stick_moved, stick_stayed, two_media
from hil.dutlink.storage.stick_path import StickPath
from hil.dutlink.storage.stick_proof import MuxWatch
from hil.dutlink.storage.usb_sockets import UsbDisk, disks_by_socket
from hil.dutlink.timing import until
from hil.flash.disk.sysfs import list_disks
from hil.flash.disk.users import is_of_this_system

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.storage.stick_memory import StickMemory
    from hil.dutlink.storage.stick_proof import MuxTurns
    from hil.dutlink.usb.access import Access
    from hil.errors import StickMissingError

__all__ = ["APPEARS_WITHIN_S", "GOES_WITHIN_S", "StickFinder"]

APPEARS_WITHIN_S = 15.0
"""Seconds within which the stick's node must appear after *host*; 3.4 to 3.7 were measured."""

GOES_WITHIN_S = 5.0
"""Seconds within which it must be gone after *dut* or *off*; 0.1 to 0.5 were measured."""


class StickFinder:
    """The stick's disk and node, and the locks that keep other boards apart while they are found.

    Args:
        serial: The board's serial number.
        usb_port: The USB port of the board (`1-2.3`); empty if it is not known.
        dev: The host's device folder.
        sys: The folder of the host's kernel for disks.
        wired: The node's path, if the wiring names it: it must lead to the disk that follows the mux.
        access: Permission to use the board.
        memory: Keeps what is learned.
        slowest_s: The longest time that a stick needs to come; see `Host.slowest_stick_s`.

    Attributes:
        before: The disks that were there before the stick last came, by `BlockDevice.key`.
        learned: What is learned about the stick, and about other boards' sticks.
        paths: The paths that lead to the stick.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a stick is found by
        self,
        serial: str,
        usb_port: str,
        dev: Path,
        sys: Path,
        wired: Path | None,
        access: Access,
        memory: StickMemory,
        slowest_s: float,
    ) -> None:
        self.before: frozenset[str] = frozenset()
        self._slowest_s = slowest_s
        self._serial = serial
        self._dev = dev
        self._sys = sys
        self._access = access
        self.learned = LearnedSticks(serial, usb_port, sys, memory)
        self.paths = StickPath(serial, dev, sys, wired)
        self._locks = SearchLocks(dev, sys, APPEARS_WITHIN_S + LEAVES_WITHIN_S)
        self._watch: MuxWatch | None = None
        self._found: Path | None = None
        self._bystanders: frozenset[str] = frozenset()
        self._here: UsbDisk | None = None

    @property
    def path(self) -> Path | None:
        """The stick's node, or None if it is neither wired nor found yet."""
        if self._here is not None and self.paths.wired_leads_elsewhere(self._here):
            return self._found
        return self.paths.wired or self._found

    @property
    def here(self) -> UsbDisk | None:
        """The disk that is proven to be the stick, or None; once it has left, it must be proven again."""
        disk = self._here
        if disk is not None:
            now = disks_by_socket(self._sys).get(disk.socket)
            if now is None or now.plug_number != disk.plug_number:
                disk = self._here = None
        return disk

    @property
    def is_awaited(self) -> bool:
        """Whether the disks were noted before the mux turned, so that a new disk can be recognized."""
        return self._watch is not None and (self._watch.only is not None or self._locks.is_learning)

    def begin_watch(self, detach: Callable[[], float]) -> None:
        """Have the stick detached, and watch for it from then on; the caller turns the mux to the host next.

        If other processes cannot know its socket, this acquires the lock for learning, so that no other board
        learns now.

        Args:
            detach: Makes sure that the stick is not on the host, and returns for how many seconds it has not
                been there.

        Raises:
            StorageError: Another process has been looking for its stick for too long.
            StickStayedError: There is a disk at its socket although the storage is off.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        known = self.learned.recall()
        if known is None or not self.learned.is_shared:
            self._locks.begin_learning()
        try:
            detached_s = detach()
            self._here = None
            if known is not None:
                self.wait_until_gone(GOES_WITHIN_S, "off")
            elif list_disks(self._sys):
                before = disks_by_socket(self._sys)
                until(
                    lambda: before.keys() - disks_by_socket(self._sys).keys() or None,
                    LEAVES_WITHIN_S - detached_s,
                )
            others = self.learned.sockets_of_others()
            only = known.socket if known else None
            self._watch = MuxWatch(
                self._dev, self._sys, others, only, self._locks.end_arrival, self._slowest_s
            )
        except BaseException:
            self.end_watch()
            raise

    def note_before(self) -> None:
        """Note the disks that are there just before the mux turns to the host."""
        self._locks.begin_arrival()
        self.before = frozenset(disk.key for disk in list_disks(self._sys))
        self._bystanders = frozenset(disk.identity for disk in disks_by_socket(self._sys).values())
        if self._watch is not None:
            self._watch.begin()

    def turned(self) -> None:
        """Note the time at which the mux turned to the host."""
        if self._watch is not None:
            self._watch.turned()

    def wait(self, timeout_s: float, turns: MuxTurns) -> UsbDisk | None:
        """Wait until the stick is there, can be used, and is proven; return None if it does not come.

        The lock for learning is held until `end_watch`. A stick whose socket is not known must go and come
        once more.

        Args:
            timeout_s: How long it may take to come the first time, in seconds.
            turns: Turns the storage, and says how long to wait each time after that.

        Raises:
            StickAmbiguousError: Other disks come and go.
            StickMovedError: A disk came, but not where the stick was learned to come.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        watch = self._watch
        if watch is None or self.here is not None:
            return self.here
        self._locks.keep_learning()
        arrivals = self._arrivals(watch, timeout_s)
        if not arrivals:
            if watch.only is not None and (others := watch.elsewhere()):
                raise stick_moved(self._serial, watch.only, others)
            return None
        proven = self.learned.matching(arrivals) or self._proven(watch, arrivals, turns)
        if proven is None:
            return None
        if len(proven.disk.media) > 1:
            raise two_media(proven.disk)
        self.learned.learn(proven, self._bystanders)
        self._here, self._watch = proven.disk, None
        self._found = self.paths.by_name(proven.disk)
        return proven.disk

    def _arrivals(self, watch: MuxWatch, timeout_s: float) -> dict[str, Arrival]:
        """Wait for disks, and return those that came; return none if the stick cannot be among them."""
        known = self.learned.recall()
        if known is None:
            arrivals = watch.wait_for_disks(timeout_s, settled_s=watch.slowest_s)
        else:
            arrivals = watch.wait_for_learned(timeout_s, known.came_after_s)
        self._locks.end_arrival()
        if arrivals and self.learned.is_relearning and not watch.watched(arrivals):
            watch.ignore_nothing()  # cables were swapped: what is known of other boards is out of date
        may_include_stick = watch.only in arrivals if watch.only else watch.watched(arrivals)
        return arrivals if may_include_stick else {}

    def _proven(self, watch: MuxWatch, arrivals: dict[str, Arrival], turns: MuxTurns) -> Arrival | None:
        """Watch the mux turn, while no other board of the host turns its mux to learn.

        Raises:
            StickMovedError: The disk that follows is not where the stick was learned to come.
        """
        with self._locks.alone():
            proven = watch.prove(arrivals, turns)
        if proven is not None and watch.only not in {None, proven.disk.socket}:
            raise stick_moved(self._serial, str(watch.only), [proven.disk])
        return proven if proven is not None and watch.watched([proven.disk.socket]) else None

    def check_wired(self, written: str = "") -> None:
        """Check that the path that the wiring names leads to the stick; see `StickPath.check_wired`."""
        if (here := self.here) is not None:
            self.paths.check_wired(here, written)

    def candidates(self) -> tuple[list[UsbDisk], bool]:
        """Return the disks that may be the stick, and whether the only one is certainly the stick.

        A proven disk is certain, and so is one with the learned names at the learned socket. Otherwise each
        removable USB disk may be the stick, except for:

        - disks that were there while the storage was off;
        - the disk that this system runs from;
        - other boards' sticks (`LearnedSticks.is_of_another`).
        """
        here = self.here
        if here is not None:
            return [here], True
        now = disks_by_socket(self._sys)
        known = self.learned.recall()
        disk_there = now.get(known.socket) if known is not None else None
        if known is not None and disk_there is not None and disk_there.names == known.names:
            return [disk_there], True
        bystanders = self._bystanders | (known.bystanders if known is not None else frozenset())
        return [
            disk
            for disk in now.values()
            if disk.identity not in bystanders
            and _may_be_a_stick(disk)
            and not self.learned.is_of_another(disk)
        ], False

    def wait_until_gone(self, timeout_s: float, position: str) -> None:
        """Wait until the stick is gone; return at once if no stick is known.

        Args:
            timeout_s: How long, in seconds.
            position: To what the storage was turned, for the error.

        Raises:
            StickStayedError: The stick is still there.
        """
        if until(lambda: not self._still_there(), timeout_s):
            return
        known = self.learned.recall()
        there = self.path or (known and f"a disk at USB socket {known.socket}")
        self._found = self._here = None
        raise stick_stayed(self._serial, str(there), timeout_s, position)

    def forget(self) -> None:
        """Forget the stick's socket, because the cabling may have changed."""
        self.learned.forget()
        self._here = self._found = None

    def end_watch(self) -> None:
        """End the watch and release its locks, so that other boards can learn; harmless when repeated."""
        self._watch = None
        self._locks.release()

    def missing(self, timeout_s: float) -> StickMissingError:
        """Return the error for a stick that did not come within `timeout_s` seconds."""
        known = self.learned.recall()
        claimed = self.learned.claimed_by_others(self._bystanders) if known is None else []
        return stick_missing(self._serial, timeout_s, known, claimed)

    def _still_there(self) -> bool:
        known = self.learned.recall()
        now = disks_by_socket(self._sys)
        if known is not None and known.socket in now:
            return True
        if self.path is None or not self.path.exists():
            return False
        name, others = Path(os.path.realpath(self.path)).name, self.learned.sockets_of_others()
        return not any(
            disk.socket in others and name in {one.name for one in disk.media} for disk in now.values()
        )


def _may_be_a_stick(disk: UsbDisk) -> bool:
    return any(medium.is_removable for medium in disk.media) and not any(
        is_of_this_system(medium) for medium in disk.media
    )
