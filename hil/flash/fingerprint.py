"""Quick check, by sampled blocks, that a stick is unchanged.

It proves nothing by itself: of the bytes after the head it looks at one in 256. It is believed only of a
stick that was proven byte by byte and has been off since (`Storage.flash`), of an image whose file is
the same; then it finds a stick that was swapped, or was in a reader.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hil.flash.chunks import HEAD_BYTES
from hil.flash.disk.disk import ALIGNED_BYTES, memory
from hil.flash.formats.open import bmap_beside

if TYPE_CHECKING:
    import os

    from hil.flash.disk.disk import Disk

__all__ = ["Source", "fingerprint", "fingerprint_of_the_rest"]

_EVERY_BYTES = 1024 * 1024
"""Partitions begin at such a distance from each other, and file systems note there that they were mounted."""

_MOST_SAMPLES = 4096
_LEAST_BYTES = 64 * 1024 * 1024
_SETTLED_S = 3.0
"""Some file systems note times by two seconds: a younger file may change without a sign."""


def fingerprint(disk: Disk, image_bytes: int) -> str:
    """Return SHA-256, hexadecimal, of a disk's size, names and head, and of 4 KiB of each MiB of an image.

    Of an image of more than 4 GiB every second MiB is looked at, and so on.

    Raises:
        StorageError: The disk failed.
        StickLostError: It is gone.
    """
    digest = hashlib.sha256(f"{disk.size_bytes} {disk.usb_names}".encode())
    digest.update(disk.read(memory(), 0, min(HEAD_BYTES, disk.size_bytes)))
    return _sampled(disk, image_bytes, digest)


def fingerprint_of_the_rest(disk: Disk, image_bytes: int) -> str:
    """Return the fingerprint of the disk after its head, as far as the image goes and 64 MiB at least.

    It tells whether a disk whose head is wrong is the stick that was just written, or another one.

    Raises:
        StorageError: The disk failed.
        StickLostError: It is gone.
    """
    digest = hashlib.sha256(f"{disk.size_bytes} {disk.usb_names}".encode())
    return _sampled(disk, max(image_bytes, _LEAST_BYTES), digest)


def _sampled(disk: Disk, image_bytes: int, digest: hashlib._Hash) -> str:
    there = memory()
    head_bytes = min(HEAD_BYTES, disk.size_bytes)
    every_bytes = _EVERY_BYTES * max(1, -(-image_bytes // (_EVERY_BYTES * _MOST_SAMPLES)))
    for offset in range(head_bytes, min(image_bytes, disk.size_bytes), every_bytes):
        digest.update(disk.read(there, offset, min(ALIGNED_BYTES, disk.size_bytes - offset)))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Source:
    """The files of an image, as the file system knows them: equal as long as they are unchanged.

    Attributes:
        files: Of the image and its block map: device, inode, size, and the times of the last changes of
            content and of anything, in nanoseconds.
    """

    files: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, image: Path, bmap: str | os.PathLike[str] | bool) -> Self | None:
        """Look at them; None where a change might leave no sign, or they cannot be looked at."""
        beside = bmap_beside(image) if bmap is True else Path(bmap) if bmap else None
        try:
            seen = [path.stat() for path in (image, beside) if path is not None]
        except OSError:
            return None
        if max(status.st_ctime for status in seen) > time.time() - _SETTLED_S:
            return None
        return cls(
            tuple((one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in seen)
        )
