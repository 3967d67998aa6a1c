"""Udev's names of a host's USB disks, and the sizes of disks."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["by_id_name", "by_path_name", "size_bytes", "usb_disks"]

_PARTITION = re.compile(r".*-part[0-9]+")
_SECTOR_BYTES = 512


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

    A block device's size is read from sysfs, which needs no permission, and does not open the disk, which
    would disturb udev.
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
