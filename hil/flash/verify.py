"""Second pass: compare what a stick holds, after it was detached and attached again, with the image."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import FlashError, ImageError, StorageError, WrongDiskError
from hil.flash.block_hashes import BlockHasher, BlockHasherThread, image_digest
from hil.flash.chunks import BOOT_REGION_BYTES, ChunkReader
from hil.flash.compare import are_equal, are_zeros, first_difference
from hil.flash.disk.concurrent_io import read_ahead
from hil.flash.disk.disk import CHUNK_BYTES
from hil.flash.fingerprint import body_fingerprint
from hil.flash.formats.image import Hole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hil.flash.block_hashes import BlockHash
    from hil.flash.chunks import ImageChunk
    from hil.flash.disk.disk import Disk
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.write_pass import WriteResult

__all__ = ["verify"]

_BUFFERS = 4
"""One being filled, one filled, one being read back, one being compared."""


def verify(disk: Disk, image: Image, result: WriteResult, progress: Progress, body: str) -> None:
    """Compare everything; if anything is wrong, wipe the boot region so that the stick does not boot.

    Archives that are slow to decompress are not decompressed again: the hashes of their blocks are compared.
    Any other image is read again, so that a change since the first pass is found, and its digest is computed.

    If the boot region reads back different, it is wiped only if the body's fingerprint is the one of the
    stick that was written; otherwise the disk may be another one with the same names. If the boot region is
    equal, this is the stick that was written: any difference in the body wipes the boot region.

    Args:
        disk: The stick, after it was detached and attached again.
        image: The image that it should hold.
        result: Result of the first pass.
        progress: Receives the progress.
        body: `body_fingerprint` of the stick from before the boot region was written.

    Raises:
        WrongDiskError: Neither the boot region nor the body is what was written.
        FlashError: The stick holds something else.
        ImageError: The image changed.
        StickLostError: The stick left the host.
    """
    _check_boot_region_on_disk(disk, image, result, body)
    with result.boot_region.wiped_on_failure(disk), _phase(progress, result):
        progress.advance(result.boot_region_bytes)
        if result.body_changed:
            comparison = _BodyComparison(disk, image, result, progress)
            if image.is_read_once:
                comparison.compare_hashes()
            else:
                comparison.compare_image()
    result.boot_region.is_unverified = False


@contextmanager
def _phase(progress: Progress, result: WriteResult) -> Iterator[None]:
    progress.begin("verify", result.boot_region_bytes + (result.body_bytes if result.body_changed else 0))
    try:
        yield
    finally:
        progress.end()


def _check_boot_region_on_disk(disk: Disk, image: Image, result: WriteResult, body: str) -> None:
    try:
        if result.boot_region.matches_disk(disk):
            return
    except BaseException as error:
        with suppress(StorageError):
            if body_fingerprint(disk, result.image_bytes) == body:
                result.boot_region.wipe_after(error, disk)
        raise
    if body_fingerprint(disk, result.image_bytes) != body:
        raise WrongDiskError(
            f"{disk.node.name} is not the stick that was written a moment ago, nothing was written to it",
            why="neither its first MiB nor what comes after it is what was written",
            remedy="leave the stick in and flash again; if that fails too, the stick loses what it was given",
        )
    wrong = _wrong(image, f"its first {result.boot_region.size_bytes} bytes read back different")
    result.boot_region.wipe_after(wrong, disk)
    raise wrong


@dataclass(frozen=True, slots=True)
class _BodyComparison:
    """Compares the body on the stick with the image, or with hashes of the image."""

    disk: Disk
    image: Image
    result: WriteResult
    progress: Progress

    def compare_hashes(self) -> None:
        hasher = BlockHasher()
        with closing(read_ahead(self.disk, self.result.ranges)) as read:
            for part, data in read:
                self._check_hashes(hasher.add(part.offset, data))
                self.progress.advance(part.size_bytes)
        self._check_hashes(hasher.finish())

    def compare_image(self) -> None:
        left = self.result.body_bytes
        with (
            BlockHasherThread() as hasher,
            ChunkReader(self.image, buffers=_BUFFERS) as chunks,
            closing(read_ahead(self.disk, self._body_chunks(chunks, hasher))) as read,
        ):
            for chunk, data in read:
                if isinstance(chunk, Hole):
                    self._check_zeros(chunk, data)
                else:
                    self._check_chunk(chunk, data)
                    chunks.give_back(chunk)
                left -= chunk.size_bytes
                self.progress.advance(chunk.size_bytes)
            if left:
                raise self._changed(f"it has {abs(left)} bytes {'less' if left > 0 else 'more'} than before")
            self.result.digest = image_digest(hasher.result(), self.result.image_bytes)

    def _body_chunks(self, chunks: ChunkReader, hasher: BlockHasherThread) -> Iterator[ImageChunk | Hole]:
        """Yield the image's body, with large holes split; check that the image's boot region is unchanged."""
        for chunk in chunks:
            if isinstance(chunk, Hole):
                yield from chunk.after(BOOT_REGION_BYTES).split(CHUNK_BYTES)
                continue
            chunk.pending_checks.append(hasher.add(chunk.offset, chunk.data))
            if chunk.offset >= BOOT_REGION_BYTES:
                yield chunk
                continue
            self._check_boot_region_of_image(chunk)
            chunks.give_back(chunk)

    def _check_hashes(self, hashes: Iterable[BlockHash]) -> None:
        for block in hashes:
            if block.digest != self.result.block_digests[block.number]:
                raise _wrong(self.image, f"bytes {block.begin} to {block.end - 1} read back different")

    def _check_chunk(self, chunk: ImageChunk, data: memoryview) -> None:
        if not are_equal(data, chunk.data):
            at = chunk.offset + first_difference(data, chunk.data)
            raise _wrong(self.image, f"byte {at} reads back different")

    def _check_zeros(self, hole: Hole, data: memoryview) -> None:
        if not are_zeros(data):
            at = hole.offset + first_difference(data, memoryview(bytes(len(data))))
            raise _wrong(self.image, f"byte {at} is not zero, as it should be")

    def _check_boot_region_of_image(self, chunk: ImageChunk) -> None:
        if not self.result.boot_region.matches(chunk.offset, chunk.data):
            raise self._changed("its first MiB has changed")

    def _changed(self, why: str) -> ImageError:
        return ImageError(
            f"{self.image.label} changed while it was flashed",
            why=why,
            remedy="wait until it is complete, then flash it again",
        )


def _wrong(image: Image, why: str) -> FlashError:
    return FlashError(
        f"{image.label} is not on the stick",
        why=why,
        remedy="flash it again, then try another stick: this one loses or changes what is written to it",
    )
