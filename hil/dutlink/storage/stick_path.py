"""Paths that lead to the stick: the kernel's node, udev's names, and the path in the wiring; and its size."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.storage.usb_sockets import disks_by_socket
from hil.dutlink.timing import until
from hil.errors import WrongDiskError
from hil.flash.disk.sysfs import block_device, identity_of

if TYPE_CHECKING:
    from hil.dutlink.storage.usb_sockets import UsbDisk

__all__ = ["StickPath", "by_id_name", "by_path_name", "size_bytes", "usb_disks"]

_PARTITION = re.compile(r".*-part[0-9]+")

_NAMED_WITHIN_S = 2.0
"""Seconds within which udev makes its names for a new disk."""


def usb_disks(dev: Path) -> frozenset[Path]:
    """Return the whole disks on USB, as paths below `dev/disk/by-id` whose device node exists."""
    return frozenset(entry for entry in _names(dev / "disk/by-id") if entry.name.startswith("usb-"))


def by_id_name(dev: Path, name: str) -> Path | None:
    """Return udev's permanent name of a disk, `disk/by-id/usb-...` for `sda`; None if there is none."""
    node = os.path.realpath(dev / name)
    named = (entry for entry in sorted(usb_disks(dev)) if os.path.realpath(entry) == node)
    return next(named, None)


def by_path_name(dev: Path, name: str) -> Path | None:
    """Return udev's name of a disk by its place on the bus, in `disk/by-path`; None if there is none."""
    node = os.path.realpath(dev / name)
    named = (entry for entry in sorted(_names(dev / "disk/by-path")) if os.path.realpath(entry) == node)
    return next(named, None)


def _names(folder: Path) -> list[Path]:
    """Return the names of whole disks in a folder of udev, which exists only while there are disks."""
    with suppress(OSError):
        return [
            entry for entry in folder.iterdir() if not _PARTITION.fullmatch(entry.name) and entry.exists()
        ]
    return []


def size_bytes(node: Path, sys: Path = Path("/sys")) -> int:
    """Return the size of a disk; 0 if it is gone, still starts, or has no medium.

    A block device's size is read from sysfs, which needs no permission, and does not disturb udev.
    """
    try:
        status = node.stat()
    except OSError:
        return 0
    if not stat.S_ISBLK(status.st_mode):
        return status.st_size
    device = block_device(sys, identity_of(status))
    return device.size_bytes if device is not None else 0


class StickPath:
    """The paths of one board's stick.

    Args:
        serial: The board's serial number, for errors.
        dev: The host's device folder.
        sys: The folder of the host's kernel for disks.
        wired: The path in the wiring, or None.
    """

    def __init__(self, serial: str, dev: Path, sys: Path, wired: Path | None) -> None:
        self.wired = wired
        self._serial = serial
        self._dev = dev
        self._sys = sys

    def node(self, disk: UsbDisk) -> Path:
        """Return the kernel's node of a disk."""
        return self._dev / disk.media[0].name

    def by_name(self, disk: UsbDisk) -> Path:
        """Return udev's name of a disk, or the kernel's if another disk here has the same names."""
        node = self.node(disk)
        if self._namesakes(disk) or not (self._dev / "disk").is_dir():
            return node
        return until(lambda: by_id_name(self._dev, node.name), _NAMED_WITHIN_S) or node

    def by_place(self, disk: UsbDisk) -> Path:
        """Return udev's name of a disk by its place on the bus, else the kernel's.

        A disk at another place cannot get that name, while a name by serial number leads to the last disk
        that has this serial number. udev makes its names a moment after the kernel makes the node.
        """
        node = self.node(disk)
        limit_s = _NAMED_WITHIN_S if (self._dev / "disk").is_dir() else 0.0
        return until(lambda: by_path_name(self._dev, node.name), limit_s) or node

    def wired_leads_elsewhere(self, disk: UsbDisk) -> bool:
        """Return True if the wired path leads to another disk that has the same names as this one."""
        if self.wired is None:
            return False
        name = Path(os.path.realpath(self.wired)).name
        return any(medium.name == name for other in self._namesakes(disk) for medium in other.media)

    def check_wired(self, disk: UsbDisk, written: str) -> None:
        """Check that the wired path leads to the stick; wait for udev to make the name.

        Args:
            disk: The stick.
            written: What has been written already, for the error.

        Raises:
            WrongDiskError: The path does not lead to the stick.
        """
        wired = self.wired
        if wired is None or self.wired_leads_elsewhere(disk):  # udev gave the common name to the other disk
            return
        node = self.node(disk)
        if until(lambda: os.path.realpath(wired) == os.path.realpath(node), _NAMED_WITHIN_S):
            return
        reasons = [f"what follows the mux of board {self._serial} is {disk}"]
        if written:
            reasons.append(written)
        raise WrongDiskError(
            f"{wired} is not proven to be the board's stick",
            why="; ".join(reasons),
            remedy=f"hil enroll --board {self._serial} corrects the lab file{self._advice(node)}",
            serial=self._serial,
        )

    def _advice(self, node: Path) -> str:
        """Return the advice to name a disk by its place on the bus; empty if udev has no such name."""
        found = by_path_name(self._dev, node.name)
        return f', or name it there by its place: stick = "{found}"' if found else ""

    def _namesakes(self, disk: UsbDisk) -> list[UsbDisk]:
        """Return the disks at other sockets that have the same names as this one."""
        return [
            other
            for other in disks_by_socket(self._sys).values()
            if other.names[:3] == disk.names[:3] and other.socket != disk.socket
        ]
