"""First pass over stick and image: keep what the stick holds already, write the rest.

Comparing costs time, and a stick with another image differs everywhere. So equal chunks raise a budget and
differing chunks lower it; at zero, everything is written without comparing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.block_hashes import BlockHasherThread, image_digest
from hil.flash.boot_region import BootRegion
from hil.flash.chunks import BOOT_REGION_BYTES, ChunkReader
from hil.flash.compare import are_equal
from hil.flash.disk.concurrent_io import ParallelWriter
from hil.flash.disk.disk import allocate_buffer
from hil.flash.formats.image import Hole

if TYPE_CHECKING:
    from hil.flash.block_hashes import BlockDigests
    from hil.flash.chunks import ImageChunk
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress

__all__ = ["DiskRange", "WriteResult", "write_body"]

_FIRST_BUDGET = 2
_MAX_BUDGET = 8


@dataclass(frozen=True, slots=True)
class DiskRange:
    """A range of the stick that holds a chunk of an image that is read only once.

    Attributes:
        offset: First byte.
        size_bytes: Length.
    """

    offset: int
    size_bytes: int


@dataclass(slots=True)
class WriteResult:
    """Result of the first pass.

    The body is all of the image after its boot region.

    Attributes:
        boot_region: The image's first MiB, which is not written yet.
        boot_region_differs: Whether the stick has another one.
        image_bytes: Size of the image.
        compared_bytes: Bytes of the image that were compared or written, holes included.
        mapped_bytes: Bytes that the image stores and that matter.
        body_bytes: Bytes of the body to verify, holes included.
        written_bytes: Bytes of the body that were written.
        body_changed: Whether any byte of the body was written or zeroed.
        ranges: The body's chunks, for `verify`; only of an image that is read once.
        block_digests: Hashes of the image's blocks, for `verify`; only of an image that is read once.
        digest: `image_digest` of the image; empty if `verify` computes it.
        compare_s: Seconds until the first difference.
        write_s: Seconds from then until everything was flushed.
    """

    boot_region: BootRegion
    boot_region_differs: bool = False
    image_bytes: int = 0
    compared_bytes: int = 0
    mapped_bytes: int = 0
    body_bytes: int = 0
    written_bytes: int = 0
    body_changed: bool = False
    ranges: list[DiskRange] = field(default_factory=list)
    block_digests: BlockDigests = field(default_factory=dict)
    digest: str = ""
    compare_s: float = 0.0
    write_s: float = 0.0

    @property
    def boot_region_bytes(self) -> int:
        """Bytes of the image that belong to the boot region, holes included."""
        return min(self.image_bytes, self.boot_region.size_bytes)


def write_body(disk: Disk, image: Image, progress: Progress, *, force: bool) -> WriteResult:
    """Make the stick hold an image, except for its boot region.

    If anything is written, the stick does not boot until the boot region is written.

    Raises:
        ImageError: The image is damaged, or larger than the stick.
        FlashError: The stick failed.
        StickLostError: The stick left the host.
    """
    _check_fits(image, disk, image.size_bytes or 0)
    return _WritePass(disk, image, progress, force=force).run()


def _check_fits(image: Image, disk: Disk, known_bytes: int) -> None:
    if known_bytes > disk.size_bytes:
        so_far = "" if image.size_bytes else " or more"
        raise ImageError(
            f"{image.label} is larger than the stick",
            why=f"it has {known_bytes} bytes{so_far}, {disk.node.name} has {disk.size_bytes}",
            remedy="take a larger stick, or a smaller image",
        )


class _WritePass:
    def __init__(self, disk: Disk, image: Image, progress: Progress, *, force: bool) -> None:
        self._disk = disk
        self._image = image
        self._progress = progress
        self._force = force
        self._result = WriteResult(BootRegion(disk.size_bytes))
        self._buffer = allocate_buffer()
        self._compare_budget = 0 if force else _FIRST_BUDGET
        self._boot_region_compared = False
        self._began = time.monotonic()
        self._writing_since: float | None = None
        self._holes: list[Hole] = []

    def run(self) -> WriteResult:
        self._progress.begin("compare", self._image.mapped_bytes)
        try:
            self._pass()
        finally:
            self._progress.end()
        self._set_times()
        return self._result

    def _pass(self) -> None:
        if self._force:
            self._start_writing()
        with (
            BlockHasherThread() as hasher,
            ChunkReader(self._image, self._is_read_again) as chunks,
            ParallelWriter(self._disk, chunks.give_back) as writer,
        ):
            for chunk in chunks:
                _check_fits(self._image, self._disk, chunk.end)
                if isinstance(chunk, Hole):
                    self._take_hole(chunk)
                else:
                    if not self._is_read_again():
                        chunk.pending_checks.append(hasher.add(chunk.offset, chunk.data))
                    if not self._take(chunk, writer):
                        chunks.give_back(chunk)
                    self._result.mapped_bytes += chunk.size_bytes
                    self._advance(chunk.size_bytes)
            self._result.image_bytes = self._image.size_bytes or 0
            if not self._is_read_again():
                self._result.block_digests = hasher.result()
                self._result.digest = image_digest(self._result.block_digests, self._result.image_bytes)
        self._zero_holes()
        self._compare_boot_region()
        if self._result.body_changed:
            self._disk.sync()

    def _is_read_again(self) -> bool:
        """Return True if `verify` is sure to read the image again; hashing is left to it then."""
        return self._result.body_changed and not self._image.is_read_once

    def _advance(self, size_bytes: int) -> None:
        self._result.compared_bytes += size_bytes
        self._progress.advance(size_bytes)

    def _take(self, chunk: ImageChunk, writer: ParallelWriter) -> bool:
        """Store, compare or write a chunk; return True if a writer thread still needs it."""
        if chunk.offset < BOOT_REGION_BYTES:
            self._result.boot_region.store(chunk.offset, chunk.data)
            return False
        self._result.body_bytes += chunk.size_bytes
        if self._image.is_read_once:
            self._result.ranges.append(DiskRange(chunk.offset, chunk.size_bytes))
        self._compare_boot_region()
        if self._is_on_disk(chunk):
            return False
        self._start_writing()
        writer.write(chunk)
        self._result.written_bytes += chunk.size_bytes
        self._result.body_changed = True
        return True

    def _take_hole(self, hole: Hole) -> None:
        """Queue a hole for zeroing, unless the stick has zeros there and nothing was written yet.

        The part in the boot region is not queued: that region starts as zeros.
        """
        body = hole.after(BOOT_REGION_BYTES)
        self._advance(hole.size_bytes - body.size_bytes)
        if not body.size_bytes:
            return
        self._result.body_bytes += body.size_bytes
        self._compare_boot_region()
        if self._writing_since is None and self._disk.is_zero(body.offset, body.size_bytes):
            self._advance(body.size_bytes)
            return
        self._start_writing()
        self._holes.append(body)

    def _zero_holes(self) -> None:
        """Zero the holes after all writes: a disk finishes pending writes before it zeros."""
        for hole in self._holes:
            self._result.body_changed = True
            for zeroed in self._disk.zero(hole.offset, hole.size_bytes):
                self._advance(zeroed)

    def _is_on_disk(self, chunk: ImageChunk) -> bool:
        if not self._compare_budget:
            return False
        is_equal = are_equal(self._disk.read(self._buffer, chunk.offset, chunk.size_bytes), chunk.data)
        self._compare_budget = min(self._compare_budget + (1 if is_equal else -1), _MAX_BUDGET)
        return is_equal

    def _compare_boot_region(self) -> None:
        """Compare the boot region once it is complete. A wiped one says nothing about the body."""
        if self._boot_region_compared:
            return
        self._boot_region_compared = True
        result, region = self._result, self._result.boot_region
        result.boot_region_differs = self._writing_since is not None or not region.matches_disk(self._disk)
        if result.boot_region_differs and self._compare_budget and not region.is_wiped(self._disk):
            self._compare_budget -= 1

    def _start_writing(self) -> None:
        if self._writing_since is not None:
            return
        self._writing_since = time.monotonic()
        total = self._image.mapped_bytes
        self._progress.end()
        self._progress.begin("write", None if total is None else total - self._result.compared_bytes)
        self._result.boot_region_differs = True
        self._result.boot_region.wipe(self._disk)

    def _set_times(self) -> None:
        now = time.monotonic()
        since = now if self._writing_since is None else self._writing_since
        self._result.compare_s = since - self._began
        self._result.write_s = now - since
