"""The host's USB disks, by the names that udev gives them, and which of them came since.

The board does not know its stick's name, and the stick is no part of the board on the bus: the one disk that
appears when the mux is turned to the host is the stick.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from hil.dutlink.translate import Source, translate
from hil.dutlink.waiting import until
from hil.errors import StickAmbiguousError, StorageError
from hil.forked_child import OwnDescriptors

__all__ = ["Watch", "size_bytes", "usb_disks"]

_TURN_LIMIT_S = 25.0
_PARTITION = re.compile(r".*-part[0-9]+")
_SLOT = re.compile(r"-[0-9]+:[0-9]+\Z")
_SECTOR_BYTES = 512


def usb_disks(dev: Path) -> frozenset[Path]:
    """The whole disks on USB, as paths below `dev/disk/by-id` whose device node exists."""
    try:
        entries = list((dev / "disk" / "by-id").iterdir())
    except OSError:
        return frozenset()  # udev makes the folder with the first disk
    return frozenset(
        entry
        for entry in entries
        if entry.name.startswith("usb-") and not _PARTITION.fullmatch(entry.name) and entry.exists()
    )


def size_bytes(node: Path, sys: Path = Path("/sys")) -> int:
    """Size of a disk, 0 while it has none: gone, still spinning up, or without a medium.

    A block device's size is read from sysfs, which needs neither permission nor an open that would disturb
    udev's own look at the disk.
    """
    try:
        status = node.stat()
        if not stat.S_ISBLK(status.st_mode):
            return status.st_size
        return _block_size_bytes(node, sys / "dev" / "block", status.st_rdev)
    except (OSError, ValueError):
        return 0


def _block_size_bytes(node: Path, listed: Path, number: int) -> int:
    in_sysfs = listed / f"{os.major(number)}:{os.minor(number)}" / "size"
    if in_sysfs.exists():
        return int(in_sysfs.read_text(encoding="ascii")) * _SECTOR_BYTES
    descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


class Watch:
    """Which disks came since it began. Only one process of a host watches at a time.

    Two boards whose sticks appear at the same time could each take the other's for its own; so the turn is
    a kernel lock on the host's device folder, which needs no file and ends with its holder.

    Args:
        dev: The host's device folder.

    Raises:
        StorageError: Somebody else's turn does not end.
    """

    def __init__(self, dev: Path) -> None:
        self._dev = dev
        self._turn = _take_turn(dev)
        self._before = usb_disks(dev)

    def begin(self) -> None:
        """Count from now on: what is there now is not the stick."""
        self._before = usb_disks(self._dev)

    def wait_for_change(self, limit_s: float) -> None:
        """Wait until one of the disks that are there goes; return at once where there are none."""
        if self._before and limit_s > 0:
            until(lambda: self._before - usb_disks(self._dev), limit_s)

    def came(self) -> frozenset[Path]:
        """The disks that were not there, or went and came back, each device once."""
        now = usb_disks(self._dev)
        self._before &= now
        by_device = {node.resolve(): node for node in sorted(now - self._before, reverse=True)}
        return frozenset(by_device.values())

    def only(self) -> Path | None:
        """The one disk that came; None while there is none.

        Raises:
            StickAmbiguousError: There is more than one.
        """
        came = sorted(self.came())
        if len({_SLOT.sub("", node.name) for node in came}) == 1:  # a card reader's empty slots do not count
            came = [node for node in came if size_bytes(node) > 0] or came[:1]
        if len(came) > 1:
            raise StickAmbiguousError(
                f"{len(came)} disks appeared when the storage was turned to the host",
                why=" and ".join(node.name for node in came),
                remedy="pull the other one out, or name the stick's node in the board's wiring",
            )
        return came[0] if came else None

    def end(self) -> None:
        """Let others watch; harmless when it ended already."""
        self._turn.close()


def _take_turn(dev: Path) -> OwnDescriptors:
    try:
        folder = os.open(dev, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise translate(error, Source.STICK, f"the device folder {dev} cannot be opened") from error
    turn = OwnDescriptors(folder)

    def taken() -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    if until(taken, _TURN_LIMIT_S) is None:
        turn.close()
        raise StorageError(
            f"another process has been looking for its stick in {dev} for {_TURN_LIMIT_S:.0f} s",
            why="two boards' sticks that appear at once cannot be told apart",
            remedy=f"end it; fuser -v {dev} names it",
        )
    return turn
