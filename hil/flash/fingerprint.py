"""Quick check, by sampled blocks, that a stick is unchanged.

It proves nothing by itself: after the boot region it reads one byte in 256. It is trusted only for a stick
that was verified byte by byte and has been off since (`Storage.flash`), and an image whose file is unchanged;
there it detects a stick that was swapped, or was written in another card reader.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hil.flash.chunks import BOOT_REGION_BYTES
from hil.flash.disk.disk import ALIGNED_BYTES, allocate_buffer
from hil.flash.formats.open import find_bmap

if TYPE_CHECKING:
    import os

    from hil.flash.disk.disk import Disk

__all__ = ["ImageFileState", "body_fingerprint", "fingerprint", "stat_files"]

_SAMPLE_DISTANCE_BYTES = 1024 * 1024
"""Partitions are aligned to it, and a mount changes the first blocks of a partition's file system."""

_MAX_SAMPLES = 4096
_MIN_BYTES = 64 * 1024 * 1024
_SETTLED_S = 3.0
"""Some file systems store times in steps of two seconds: a younger file may change without a trace."""


def fingerprint(disk: Disk, image_bytes: int) -> str:
    """Return SHA-256, hexadecimal, of a disk's size, names, boot region, and 4 KiB of each MiB of an image.

    Of an image of more than 4 GiB only every second MiB is sampled, and so on.

    Raises:
        StorageError: The disk failed.
        StickLostError: The disk left the host.
    """
    digest = hashlib.sha256(f"{disk.size_bytes} {disk.usb_names}".encode())
    digest.update(disk.read(allocate_buffer(), 0, min(BOOT_REGION_BYTES, disk.size_bytes)))
    return _sampled(disk, image_bytes, digest)


def body_fingerprint(disk: Disk, image_bytes: int) -> str:
    """Return the fingerprint of the disk after its boot region, over the image's size but at least 64 MiB.

    It tells whether a disk whose boot region is wrong is the stick that was just written, or another one.

    Raises:
        StorageError: The disk failed.
        StickLostError: The disk left the host.
    """
    digest = hashlib.sha256(f"{disk.size_bytes} {disk.usb_names}".encode())
    return _sampled(disk, max(image_bytes, _MIN_BYTES), digest)


def _sampled(disk: Disk, image_bytes: int, digest: hashlib._Hash) -> str:
    buffer = allocate_buffer()
    boot_region_bytes = min(BOOT_REGION_BYTES, disk.size_bytes)
    every_bytes = _SAMPLE_DISTANCE_BYTES * max(1, -(-image_bytes // (_SAMPLE_DISTANCE_BYTES * _MAX_SAMPLES)))
    for offset in range(boot_region_bytes, min(image_bytes, disk.size_bytes), every_bytes):
        digest.update(disk.read(buffer, offset, min(ALIGNED_BYTES, disk.size_bytes - offset)))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ImageFileState:
    """What the file system says of an image's files: equal as long as they are unchanged.

    Attributes:
        files: For the image and its block map: device, inode, size, mtime and ctime in nanoseconds.
    """

    files: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, image: Path, bmap: str | os.PathLike[str] | bool) -> Self | None:
        """Return the state of an image's files, or None if a change might leave no trace or `stat` fails."""
        files = stat_files(image, bmap)
        if not files or max(ctime_ns for *_, ctime_ns in files) / 1e9 > time.time() - _SETTLED_S:
            return None
        return cls(files)


def stat_files(image: Path, bmap: str | os.PathLike[str] | bool) -> tuple[tuple[int, ...], ...]:
    """Return for an image and its block map device, inode, size, mtime and ctime; empty if `stat` fails.

    A build may keep size and mtime of a file that it writes again; no program can set its ctime.
    """
    beside = find_bmap(image) if bmap is True else Path(bmap) if bmap else None
    try:
        found = [path.stat() for path in (image, beside) if path is not None]
    except OSError:
        return ()
    return tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found)
