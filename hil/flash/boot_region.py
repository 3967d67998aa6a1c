"""A disk's first MiB, without which nothing boots: wiped before anything is written, and written last."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.errors import FlashError, StorageError
from hil.flash.chunks import BOOT_REGION_BYTES
from hil.flash.compare import are_equal, are_zeros
from hil.flash.disk.disk import allocate_buffer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.flash.disk.disk import Disk

__all__ = ["BootRegion"]

_LOADER_BYTES = 64 * 1024
"""What a boot ROM reads: MBR, GPT, first descriptors of ISO 9660. It is written last of all, in one write."""

_BACKUP_SIGNATURE = b"EFI PART"
_BLOCK_SIZES = (512, 4096)
_WIPES = 3


class BootRegion:
    """The first MiB of an image as it belongs on a disk; zeros where the image has no data.

    Attributes:
        is_unverified: Whether any part of it was written, and since then neither verified nor wiped.
    """

    def __init__(self, disk_bytes: int) -> None:
        self.is_unverified = False
        self.size_bytes = min(BOOT_REGION_BYTES, disk_bytes)
        self._buffer = allocate_buffer()

    @property
    def data(self) -> memoryview:
        """Its bytes."""
        return memoryview(self._buffer)[: self.size_bytes]

    def store(self, offset: int, data: memoryview) -> None:
        """Store bytes of the image at an offset."""
        self._buffer[offset : offset + len(data)] = data

    def matches(self, offset: int, data: memoryview) -> bool:
        """Return True if the stored bytes at an offset equal the given ones."""
        return are_equal(self.data[offset : offset + len(data)], data)

    def matches_disk(self, disk: Disk) -> bool:
        """Return True if the disk begins with the stored bytes."""
        return are_equal(disk.read(allocate_buffer(), 0, self.size_bytes), self.data)

    def write(self, disk: Disk) -> None:
        """Write it to a wiped disk, with the part that boots last.

        Raises:
            StorageError: The disk failed; it was wiped again if possible.
            StickLostError: The disk left the host.
        """
        last = min(_LOADER_BYTES, self.size_bytes)
        self.is_unverified = True
        with self.wiped_on_failure(disk):
            for begin, end in ((last, self.size_bytes), (0, last)):
                if begin < end:
                    part = allocate_buffer()
                    part[: end - begin] = self.data[begin:end]
                    disk.write(part, begin, end - begin)
                    disk.sync()

    def wipe(self, disk: Disk) -> None:
        """Zero the disk's boot region so that it does not boot, and read the zeros back.

        Raises:
            FlashError: The zeros did not read back at once; a note tells whether the disk may boot.
            StorageError: The disk failed.
            StickLostError: The disk left the host.
        """
        with self.wiped_on_failure(disk):
            self._write_zeros(disk)

    def _write_zeros(self, disk: Disk) -> None:
        self._wipe_backup(disk)
        disk.write(allocate_buffer(), 0, self.size_bytes)
        disk.sync()
        if not self.is_wiped(disk):
            raise FlashError(
                f"{disk.node.name} does not take what is written to it",
                why="zeros over its first MiB do not read back as zeros",
                remedy="try another stick: this one is worn out or write-protected",
            )
        self.is_unverified = False

    def is_wiped(self, disk: Disk) -> bool:
        """Return True if the disk's boot region is all zeros: a flash was interrupted, or the disk is new."""
        return are_zeros(disk.read(allocate_buffer(), 0, self.size_bytes))

    @contextmanager
    def wiped_on_failure(self, disk: Disk) -> Iterator[None]:
        """Wipe the disk's boot region if the block raises, so that an unverified disk does not boot."""
        try:
            yield
        except BaseException as error:
            self.wipe_after(error, disk)
            raise

    def wipe_after(self, error: BaseException, disk: Disk) -> None:
        """Wipe an unverified disk, and note in the error whether the disk may boot now.

        A stick that flips a bit now and then may flip one of the zeros, so it is wiped several times if need
        be.
        """
        boots = ""
        for _ in range(_WIPES):
            try:
                self._write_zeros(disk)
            except StorageError as failed:
                boots = f"its first MiB could not be wiped ({failed.what}), so that it may boot"
            else:
                boots = "its first MiB was wiped, so that it does not boot"
                break
        error.add_note(boots)

    @staticmethod
    def _wipe_backup(disk: Disk) -> None:
        """Zero an old GPT's backup header in the last block: UEFI boots by it when the first one is gone."""
        for block in itertools.takewhile(lambda size: size <= disk.size_bytes, _BLOCK_SIZES):
            at = disk.size_bytes - block
            if disk.read(allocate_buffer(), at, block)[: len(_BACKUP_SIGNATURE)] == _BACKUP_SIGNATURE:
                disk.write(allocate_buffer(), at, block)
