"""What the kernel tells about disks in sysfs (Linux: Documentation/ABI/stable/sysfs-block).

A disk is looked up by its identity, which `stat` or an open descriptor gives, never by a name. A block device
is `MAJOR:MINOR`; anything else is `file-DEVICE-INODE`, which no kernel lists: a plain file is found only in a
simulated sysfs.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BlockDevice", "block_device", "identity_of", "list_disks", "usb_names_at", "usb_number_at"]

_SECTOR_BYTES = 512


def identity_of(status: os.stat_result) -> str:
    """Return the identity of the device or file that a status belongs to."""
    if stat.S_ISBLK(status.st_mode):
        return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return f"file-{status.st_dev}-{status.st_ino}"


def list_disks(sys: Path) -> list[BlockDevice]:
    """Return all whole disks that the kernel lists now."""
    try:
        return [BlockDevice(name.resolve()) for name in sorted((sys / "block").iterdir())]
    except OSError:
        return []


def block_device(sys: Path, identity: str) -> BlockDevice | None:
    """Return the block device with an identity, or None if the kernel lists none."""
    folder = (sys / "dev" / "block" / identity).resolve()
    found = BlockDevice(folder)
    return found if folder.is_relative_to(sys.resolve()) and found.identity == identity else None


def usb_names_at(device: Path) -> tuple[str, str, str]:
    """Return the vendor ID, product ID and serial number that a USB device reports; empty if unknown."""
    return _text(device / "idVendor"), _text(device / "idProduct"), _text(device / "serial")


def usb_number_at(device: Path) -> str:
    """Return the number that the kernel gave a USB device when it was last plugged in; empty if unknown."""
    return _text(device / "devnum")


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk or a partition. Every property is read from sysfs each time.

    Attributes:
        folder: Its folder in sysfs, with links resolved.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Its kernel name, such as `sda`."""
        return self.folder.name

    @property
    def identity(self) -> str:
        """Its identity, see `identity_of`; empty once it is gone."""
        return _text(self.folder / "dev")

    @property
    def key(self) -> str:
        """Distinguishes it from every other disk, also from an earlier one with the same name.

        It includes the kernel's disk sequence number, which is never reused (Linux 5.15 and later).
        """
        return f"{self.name} {self.identity} {_text(self.folder / 'diskseq')}"

    @property
    def size_bytes(self) -> int:
        """Its size; 0 if it has no medium, or is gone."""
        return _number(self.folder / "size") * _SECTOR_BYTES

    @property
    def block_bytes(self) -> int:
        """Size of its logical blocks, the smallest unit of a write."""
        return _number(self.folder / "queue" / "logical_block_size") or _SECTOR_BYTES

    @property
    def is_partition(self) -> bool:
        """Whether it is a partition."""
        return (self.folder / "partition").exists()

    @property
    def is_virtual(self) -> bool:
        """Whether it has no hardware: a loop device, a RAM disk, a device mapper volume."""
        return "virtual" in self.folder.parts

    @property
    def is_removable(self) -> bool:
        """Whether it reports itself removable (the RMB bit of SCSI's INQUIRY)."""
        return _text(self.folder / "removable") == "1"

    @property
    def is_read_only(self) -> bool:
        """Whether it is write-protected."""
        return _text(self.folder / "ro") != "0"

    @property
    def usb_device(self) -> Path | None:
        """The sysfs folder of its USB device, or None if it is not on USB."""
        for folder in self.folder.parents:
            with suppress(OSError):  # the device left between two looks
                if (folder / "idVendor").exists() and (folder / "subsystem").resolve().name == "usb":
                    return folder
        return None

    @property
    def usb_names(self) -> tuple[str, ...]:
        """Its USB device's vendor ID, product ID, serial number and port; empty if it is not on USB."""
        device = self.usb_device
        return () if device is None else (*usb_names_at(device), device.name)

    @property
    def attachment(self) -> tuple[str, str]:
        """Its USB socket, and a number that changes each time a device is plugged in there.

        The number does not change if only the card in a reader is changed.
        """
        device = self.usb_device
        return ("", self.key) if device is None else (device.name, usb_number_at(device) or self.key)

    def partitions(self) -> list[BlockDevice]:
        """Return its partitions."""
        try:
            return [BlockDevice(entry.parent) for entry in sorted(self.folder.glob("*/partition"))]
        except OSError:
            return []

    def holders(self) -> list[BlockDevice]:
        """Return the devices built on it: volumes, RAIDs, encrypted disks."""
        try:
            return [BlockDevice(entry.resolve()) for entry in sorted((self.folder / "holders").iterdir())]
        except OSError:
            return []

    @property
    def mapped(self) -> tuple[str, str]:
        """Its device mapper name and kind (`LVM`, `CRYPT`); both empty if it is not the device mapper's."""
        return _text(self.folder / "dm/name"), _text(self.folder / "dm/uuid").partition("-")[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0
