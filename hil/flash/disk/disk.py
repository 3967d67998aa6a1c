"""An open disk: large aligned transfers that bypass the page cache, and errors that name the cause."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Self

from hil.errors import FlashError, StickLostError, StorageError
from hil.flash.compare import are_zeros
from hil.flash.disk.punch_hole import punch_hole
from hil.forked_child import OwnDescriptors, forget_on_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.flash.disk.sysfs import BlockDevice

__all__ = ["ALIGNED_BYTES", "CHUNK_BYTES", "Buffer", "Disk", "allocate_buffer"]

CHUNK_BYTES = 4 * 1024 * 1024
"""The largest transfer."""

ALIGNED_BYTES = 4096
"""A multiple of every disk's block; direct transfers begin and end at multiples of the block."""

_LEAVES_WITHIN_S = 1.0
"""Seconds that the kernel may take to notice that a disk which just failed is gone."""

_LOOK_EVERY_S = 0.02

Buffer = mmap.mmap
"""Memory that begins on a page. The byte for a disk offset lies at `offset % ALIGNED_BYTES` in it."""


def allocate_buffer() -> Buffer:
    """Return memory for a chunk at any offset, in large pages, which a transfer need not pin one by one.

    Most systems have large pages for private memory only. A fork must not copy private memory while the
    kernel reads into it (open(2), O_DIRECT), so a child does not get this memory at all.
    """
    pages = mmap.mmap(-1, CHUNK_BYTES + 2 * ALIGNED_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.madvise(mmap.MADV_DONTFORK)
    with suppress(OSError):  # the kernel has no large pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


class Disk:
    """An open disk; `close` it, or use it in a `with` block.

    Args:
        descriptor: The open descriptor; the disk closes it.
        node: The device node, for messages.
        device: The disk in sysfs.
        error_type: Raised if the disk fails.
        access: Entered around each transfer: raises if the disk may not be used any more.

    Attributes:
        node: The device node.
        size_bytes: Size of the disk.
        usb_names: See `BlockDevice.usb_names`.
        written_bytes: Upper limit of the bytes that were written to it, zeros included.
    """

    def __init__(
        self,
        descriptor: int,
        node: Path,
        device: BlockDevice,
        error_type: type[StorageError] = FlashError,
        access: AbstractContextManager[object] | None = None,
    ) -> None:
        self.node = node
        self.size_bytes = device.size_bytes
        self.usb_names = device.usb_names
        self.written_bytes = 0
        self._descriptor = descriptor
        self._device = device
        self._key = device.key
        self._error_type = error_type
        self._access = access or nullcontext()
        self._block_bytes = device.block_bytes
        self._edge = mmap.mmap(-1, ALIGNED_BYTES)
        self._is_direct = self._block_bytes <= ALIGNED_BYTES and self._go_direct()
        self._can_punch = True
        forget_on_fork(self)

    def read(self, into: Buffer, offset: int, size_bytes: int) -> memoryview:
        """Read from the disk itself, never from the page cache.

        Args:
            into: A buffer.
            offset: First byte.
            size_bytes: Number of bytes, at most `CHUNK_BYTES`.

        Returns:
            The bytes, in `into`.

        Raises:
            StorageError: The disk failed.
            StickLostError: The disk left the host.
        """
        begin, end = self._whole_blocks(offset, size_bytes)
        lead = offset % ALIGNED_BYTES
        first = lead - (offset - begin)
        self._transfer(self._read_some, memoryview(into)[first : first + end - begin], begin)
        return memoryview(into)[lead : lead + size_bytes]

    def write(self, data: Buffer, offset: int, size_bytes: int) -> None:
        """Write the bytes in `data`; other bytes of the first and last block keep their values.

        Raises:
            StorageError: The disk failed.
            StickLostError: The disk left the host.
        """
        self.written_bytes += size_bytes
        begin, end = self._whole_blocks(offset, size_bytes)
        lead = offset % ALIGNED_BYTES
        first = lead - (offset - begin)
        view = memoryview(data)[first : first + end - begin]
        self._read_back(view, begin, begin, offset)
        self._read_back(view, begin, offset + size_bytes, end)
        self._transfer(self._write_some, view, begin)

    def zero(self, offset: int, size_bytes: int) -> Iterator[int]:
        """Zero a range: the disk does it if it can; otherwise zeros are written where other bytes are.

        Yields:
            How many more bytes are zeros; exhaust the iterator.

        Raises:
            StorageError: The disk failed.
            StickLostError: The disk left the host.
        """
        whole = size_bytes - (offset + size_bytes) % ALIGNED_BYTES
        if self._can_punch and offset % ALIGNED_BYTES == 0 and whole > 0:
            with self._access:
                self.written_bytes += whole
                self._can_punch = punch_hole(self._descriptor, offset, whole)
            if self._can_punch:
                yield whole
                offset, size_bytes = offset + whole, size_bytes - whole
        for begin, data in self.read_chunks(allocate_buffer(), offset, size_bytes):
            if not are_zeros(data):
                self.write(allocate_buffer(), begin, len(data))
            yield len(data)

    def read_chunks(self, into: Buffer, offset: int, size_bytes: int) -> Iterator[tuple[int, memoryview]]:
        """Read a range of any length, and yield the offset and the bytes of each chunk; see `read`."""
        end = offset + size_bytes
        while offset < end:
            length = min(CHUNK_BYTES, end - offset)
            yield offset, self.read(into, offset, length)
            offset += length

    def is_zero(self, offset: int, size_bytes: int) -> bool:
        """Return True if a range is all zeros; raises as `read`."""
        return all(are_zeros(data) for _, data in self.read_chunks(allocate_buffer(), offset, size_bytes))

    def sync(self) -> None:
        """Wait until the disk confirms that it has stored everything.

        Raises:
            StorageError: The disk failed.
            StickLostError: The disk left the host.
        """
        try:
            with self._access:
                os.fsync(self._descriptor)
        except OSError as error:
            raise self._failure(error, "did not take all that was written") from error
        self.check_present()

    def check_present(self) -> None:
        """Check that the disk is still the one that was opened.

        Raises:
            StickLostError: The disk left the host.
        """
        if self._device.key != self._key:
            raise self._lost()

    def keep_locked(self) -> OwnDescriptors:
        """Return a duplicate descriptor that keeps other programs from the disk after `close`.

        It refers to the same open file. Until it is closed, the lock and the exclusive use of the disk last,
        and udev sees no end of writing.
        """
        return OwnDescriptors(os.dup(self._descriptor))

    def close(self) -> None:
        """Close the disk; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _whole_blocks(self, offset: int, size_bytes: int) -> tuple[int, int]:
        """Return begin and end of the whole blocks around a range."""
        block = self._block_bytes
        return offset - offset % block, -(-(offset + size_bytes) // block) * block

    def _read_back(self, view: memoryview, origin: int, begin: int, end: int) -> None:
        """Fill part of a block with the disk's bytes; `view` begins at offset `origin`."""
        if begin == end:
            return
        block = begin - begin % self._block_bytes
        edge = memoryview(self._edge)[: self._block_bytes]
        self._transfer(self._read_some, edge, block)
        view[begin - origin : end - origin] = edge[begin - block : end - block]

    def _transfer(self, some: Callable[[memoryview, int], int], view: memoryview, at: int) -> None:
        while view:
            try:
                with self._access:
                    moved = some(view, at)
            except OSError as error:
                if error.errno == errno.EINVAL and self._is_direct:
                    self._go_indirect()
                    continue
                raise self._failure(error, f"failed at byte {at}") from error
            if moved == 0:
                raise self._failure(OSError(errno.EIO, "it ends there"), f"failed at byte {at}")
            view, at = view[moved:], at + moved
        self.check_present()

    def _read_some(self, view: memoryview, at: int) -> int:
        if not self._is_direct:
            os.posix_fadvise(self._descriptor, at, len(view), os.POSIX_FADV_DONTNEED)
        return os.preadv(self._descriptor, [view], at)

    def _write_some(self, view: memoryview, at: int) -> int:
        return os.pwrite(self._descriptor, view, at)

    def _go_direct(self) -> bool:
        """Switch to direct transfers; return False if the file system of a simulated stick has none."""
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        except OSError:
            return False
        return True

    def _go_indirect(self) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        self._is_direct = False

    def _failure(self, error: OSError, what: str) -> StorageError:
        """Return the error for a failed transfer; wait a moment to see whether the disk has left the host."""
        until_s = time.monotonic() + _LEAVES_WITHIN_S
        while self._device.key == self._key:
            if time.monotonic() > until_s:
                return self._error_type(
                    f"{self.node.name} {what}",
                    why=error.strerror or str(error),
                    remedy="try another stick: this one fails, or its way to the host does (see dmesg)",
                    errno=error.errno,
                )
            time.sleep(_LOOK_EVERY_S)
        return self._lost()

    def _lost(self) -> StickLostError:
        return StickLostError(
            f"{self.node.name} left the host while it was in use",
            why="it was pulled out, the board lost its power, or the storage was turned away",
            remedy="see whether board and stick are plugged in, then do it again",
        )
