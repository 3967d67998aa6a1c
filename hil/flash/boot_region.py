"""A disk's first MiB, without which nothing boots: it is wiped before anything is written, and comes last."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.errors import FlashError, StorageError
from hil.flash.chunks import HEAD_BYTES
from hil.flash.disk.compare import are_equal, are_zeros
from hil.flash.disk.disk import memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.flash.disk.disk import Disk

__all__ = ["Head"]

_LOADER_BYTES = 64 * 1024
"""What a boot ROM looks at: MBR, GPT, first descriptors of ISO 9660. It is written last of all, at once."""

_BACKUP_SIGNATURE = b"EFI PART"
_BLOCK_SIZES = (512, 4096)


class Head:
    """The first MiB of an image as it belongs on a disk; zeros where the image says nothing.

    Attributes:
        is_unproven: Whether it, or a part of it, was written, and neither proven nor wiped since.
    """

    def __init__(self, disk_bytes: int) -> None:
        self.is_unproven = False
        self.size_bytes = min(HEAD_BYTES, disk_bytes)
        self._memory = memory()

    @property
    def data(self) -> memoryview:
        """Its bytes."""
        return memoryview(self._memory)[: self.size_bytes]

    def put(self, offset: int, data: memoryview) -> None:
        """Take a part of it."""
        self._memory[offset : offset + len(data)] = data

    def agrees(self, offset: int, data: memoryview) -> bool:
        """Whether a part is the same as it was when it was taken."""
        return are_equal(self.data[offset : offset + len(data)], data)

    def is_on(self, disk: Disk) -> bool:
        """Whether a disk has it."""
        return are_equal(disk.read(memory(), 0, self.size_bytes), self.data)

    def write(self, disk: Disk) -> None:
        """Write it to a disk that was wiped, so that this boots only when everything is there.

        Raises:
            StorageError: The disk failed; it was wiped again if possible.
            StickLostError: It is gone.
        """
        last = min(_LOADER_BYTES, self.size_bytes)
        self.is_unproven = True
        with self.wiped_on_failure(disk):
            for begin, end in ((last, self.size_bytes), (0, last)):
                if begin < end:
                    part = memory()
                    part[: end - begin] = self.data[begin:end]
                    disk.write(part, begin, end - begin)
                    disk.sync()

    def wipe(self, disk: Disk) -> None:
        """Make a disk one that does not boot, and see that it is.

        Raises:
            FlashError: It holds what it held before.
            StorageError: It failed.
            StickLostError: It is gone.
        """
        self._wipe_backup(disk)
        disk.write(memory(), 0, self.size_bytes)
        disk.sync()
        if not self.is_wiped(disk):
            raise FlashError(
                f"{disk.node.name} does not take what is written to it",
                why="zeros over its first MiB do not read back as zeros; what it held before may still boot",
                remedy="try another stick: this one is worn out or write-protected",
            )
        self.is_unproven = False

    def is_wiped(self, disk: Disk) -> bool:
        """Whether a disk has nothing there: an earlier call was interrupted, or it is new."""
        return are_zeros(disk.read(memory(), 0, self.size_bytes))

    @contextmanager
    def wiped_on_failure(self, disk: Disk) -> Iterator[None]:
        """Whatever happens within, a disk that is not proven does not boot."""
        try:
            yield
        except BaseException as error:
            self.wipe_after(error, disk)
            raise

    def wipe_after(self, error: BaseException, disk: Disk) -> None:
        """Wipe a disk that is not proven, and let the error tell whether it boots now."""
        try:
            self.wipe(disk)
        except StorageError as failed:
            boots = f"its first MiB could not be wiped ({failed.what}), so that it may boot"
        else:
            boots = "its first MiB was wiped, so that it does not boot"
        error.add_note(boots)

    @staticmethod
    def _wipe_backup(disk: Disk) -> None:
        """Remove an old GPT's second header, in the last block: a UEFI boots by it when the first is gone."""
        for block in itertools.takewhile(lambda size: size <= disk.size_bytes, _BLOCK_SIZES):
            at = disk.size_bytes - block
            if disk.read(memory(), at, block)[: len(_BACKUP_SIGNATURE)] == _BACKUP_SIGNATURE:
                disk.write(memory(), at, block)
