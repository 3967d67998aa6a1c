"""What the kernel tells about disks, read below `/sys` (Linux: Documentation/ABI/stable/sysfs-block).

A disk is looked up by what an open descriptor or a `stat` says it is, never by a name. A block device is
`MAJOR:MINOR`; anything else is `file-DEVICE-INODE`, which no kernel lists: a plain file can only be found in
a tree that simulates one.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BlockDevice", "block_device", "identity_of", "list_disks", "usb_names_at", "usb_number_at"]

_SECTOR_BYTES = 512


def identity_of(status: os.stat_result) -> str:
    """Tell which device or file a status is of, in the kernel's words."""
    if stat.S_ISBLK(status.st_mode):
        return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return f"file-{status.st_dev}-{status.st_ino}"


def list_disks(sys: Path) -> list[BlockDevice]:
    """All whole disks that are there now."""
    try:
        return [BlockDevice(name.resolve()) for name in sorted((sys / "block").iterdir())]
    except OSError:
        return []


def block_device(sys: Path, identity: str) -> BlockDevice | None:
    """Look up what an identity stands for; None where the kernel lists no such thing."""
    folder = (sys / "dev" / "block" / identity).resolve()
    found = BlockDevice(folder)
    return found if folder.is_relative_to(sys.resolve()) and found.identity == identity else None


def usb_names_at(device: Path) -> tuple[str, str, str]:
    """Return the vendor, product and serial number of a USB device, as the device tells them."""
    return _text(device / "idVendor"), _text(device / "idProduct"), _text(device / "serial")


def usb_number_at(device: Path) -> str:
    """Return the number that a USB device got when it was last plugged in; empty if it is not told."""
    return _text(device / "devnum")


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk or a partition, by its folder in sysfs. Every property is read afresh.

    Attributes:
        folder: Its folder, without links.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Its name, such as `sda`."""
        return self.folder.name

    @property
    def identity(self) -> str:
        """As `identity_of`; empty once it is gone."""
        return _text(self.folder / "dev")

    @property
    def key(self) -> str:
        """What tells it from every other disk, also from the one that had its name before.

        The sequence number never comes twice; Linux has it since 5.15.
        """
        return f"{self.name} {self.identity} {_text(self.folder / 'diskseq')}"

    @property
    def size_bytes(self) -> int:
        """Its size; 0 without a medium, and once it is gone."""
        return _number(self.folder / "size") * _SECTOR_BYTES

    @property
    def block_bytes(self) -> int:
        """The least that can be written."""
        return _number(self.folder / "queue" / "logical_block_size") or _SECTOR_BYTES

    @property
    def is_partition(self) -> bool:
        """Whether it is a part of a disk."""
        return (self.folder / "partition").exists()

    @property
    def is_virtual(self) -> bool:
        """Whether there is no device below it: a loop device, RAM, device mapper."""
        return "virtual" in self.folder.parts

    @property
    def is_removable(self) -> bool:
        """Whether its maker calls it removable (the RMB bit of SCSI's INQUIRY)."""
        return _text(self.folder / "removable") == "1"

    @property
    def is_read_only(self) -> bool:
        """Whether it takes no writes."""
        return _text(self.folder / "ro") != "0"

    @property
    def usb_device(self) -> Path | None:
        """The folder of the USB device that it is on; None where it is not on USB."""
        for folder in self.folder.parents:
            if (folder / "idVendor").exists() and (folder / "subsystem").resolve().name == "usb":
                return folder
        return None

    @property
    def usb_names(self) -> tuple[str, ...]:
        """What its USB device is and where it is plugged in: vendor, product, serial number, port."""
        device = self.usb_device
        return () if device is None else (*usb_names_at(device), device.name)

    @property
    def attachment(self) -> tuple[str, str]:
        """Its USB socket, and a number that differs each time that a device is plugged in there.

        The number stays when only the card in a reader is changed.
        """
        device = self.usb_device
        return ("", self.key) if device is None else (device.name, usb_number_at(device) or self.key)

    def partitions(self) -> list[BlockDevice]:
        """Its partitions."""
        try:
            return [BlockDevice(entry.parent) for entry in sorted(self.folder.glob("*/partition"))]
        except OSError:
            return []

    def holders(self) -> list[BlockDevice]:
        """What is built on it: volumes, RAIDs, encrypted disks."""
        try:
            return [BlockDevice(entry.resolve()) for entry in sorted((self.folder / "holders").iterdir())]
        except OSError:
            return []

    @property
    def mapped(self) -> tuple[str, str]:
        """The name and the kind (`LVM`, `CRYPT`) that the device mapper knows it by; empty: it is none."""
        return _text(self.folder / "dm/name"), _text(self.folder / "dm/uuid").partition("-")[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0
