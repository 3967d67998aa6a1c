"""An image with a block map: only the mapped ranges are read, and each is compared with its checksum.

A map that was found beside the image must be verified to be the image's own before anything is written: each
mapped range has its checksum, and all other bytes are zeros, as they were when the map was made.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from hil.errors import ImageError
from hil.flash.compare import are_zeros
from hil.flash.formats.image import Extent
from hil.flash.formats.stream import MAX_READ_BYTES, ImageFile, ImageStream
from hil.flash.progress import NoProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from hil.flash.formats.bmap import BlockMap, BlockRange
    from hil.flash.formats.image import Allocate, SkipChecksums
    from hil.flash.progress import Progress

__all__ = ["MappedImage"]

_THREADS = 2
_MOST_WAITING = 2 * _THREADS
"""How many tasks may run or wait; each keeps its bytes in memory."""

_SMALL_BYTES = 128 * 1024
"""Smaller ranges are checked at once, which is faster than handing them to a thread."""


class MappedImage:
    """A raw image, maybe compressed, with a block map; an `Image`.

    Args:
        path: The image.
        blocks: Its block map.
        map_label: The map's file name, for messages.
        is_found: Whether the map was found beside the image; False if the user named it.

    Attributes:
        map_label: The map's file name.
    """

    def __init__(self, path: Path, blocks: BlockMap, map_label: str, *, is_found: bool = False) -> None:
        self._file = ImageFile(path)
        self.label = self._file.label
        self.source_bytes = self._file.size_bytes
        self.map_label = map_label
        self.remarks = self._file.remarks
        self._map = blocks
        self._must_be_verified, self._is_verified = is_found, False
        if blocks.is_signed:
            self.remarks.append(
                f"{map_label} is signed; its signature was not checked (gpg --verify does it)"
            )
        with self._file.stream() as stream:
            self.is_compressed = stream.compression is not None
            self.is_read_once = stream.is_slow
        if not self.is_compressed and self.source_bytes != blocks.image_bytes:
            raise self._wrong(f"it has {self.source_bytes} bytes, the map is for {blocks.image_bytes}")

    @property
    def size_bytes(self) -> int:
        """Size according to the map; `extents` checks it."""
        return self._map.image_bytes

    @property
    def mapped_bytes(self) -> int:
        """Number of bytes that matter."""
        return self._map.mapped_bytes

    def check(self, progress: Progress | None = None) -> None:
        """Check that the file is unchanged, and verify a map that was found; see `Image`."""
        self._file.check_unchanged()
        if not self._must_be_verified:
            return
        progress = progress or NoProgress()
        progress.begin("check", self._map.image_bytes if self.is_compressed else self._map.mapped_bytes)
        try:
            self._verify(progress)
        finally:
            progress.end()
        self._must_be_verified, self._is_verified = False, True

    def _verify(self, progress: Progress) -> None:
        with self._file.stream() as stream, Checksums(self._map.checksum_kind, self._wrong) as checksums:
            for blocks in self._map.ranges:
                self._check_zeros(stream, self._map.extent(blocks)[0], progress)
                for extent in self._range(stream, blocks, checksums.range(_name(blocks), blocks.checksum)):
                    progress.advance(len(extent.data))
            self._check_zeros(stream, self._map.image_bytes, progress)
            checksums.finish()
            self._check_end(stream)

    def _check_zeros(self, stream: ImageStream, end: int, progress: Progress) -> None:
        """Read unmapped bytes up to a position, and raise if they are not zeros."""
        while stream.at < end:
            if not self.is_compressed:
                stream.skip_hole(end)
            begin, data = stream.at, stream.read_exactly(min(end - stream.at, MAX_READ_BYTES))
            if not are_zeros(memoryview(data)):
                raise self._wrong(
                    f"the map leaves out bytes {begin} to {stream.at - 1}, which are not all zeros: "
                    "what was changed in the image since the map was made would be lost"
                )
            if self.is_compressed:
                progress.advance(len(data))

    def extents(
        self, allocate: Allocate | None = None, skip_checksums: SkipChecksums | None = None
    ) -> Generator[Extent]:
        """Read the mapped ranges; see `Image`. All checksums are compared before the iterator ends."""
        self.check()
        with self._file.stream() as stream, Checksums(self._map.checksum_kind, self._wrong) as checksums:
            for blocks in self._map.ranges:
                is_known = self._is_verified or (skip_checksums is not None and skip_checksums())
                counted = checksums.range(_name(blocks), "" if is_known else blocks.checksum)
                yield from self._range(stream, blocks, counted, allocate)
            stream.skip(self._map.image_bytes - stream.at)
            checksums.finish()
            self._check_end(stream)

    def _range(
        self, stream: ImageStream, blocks: BlockRange, counted: CheckedRange, allocate: Allocate | None = None
    ) -> Iterator[Extent]:
        begin, left = self._map.extent(blocks)
        stream.skip(begin - stream.at)
        while left:
            if allocate is None or self.is_compressed:
                data = memoryview(stream.read_exactly(min(left, MAX_READ_BYTES)))
            else:
                data = allocate(stream.at)[:left]
                stream.readinto(data)
            left -= len(data)
            yield Extent(stream.at - len(data), data, counted.add(data, is_last=not left))

    def _check_end(self, stream: ImageStream) -> None:
        if stream.read(1):
            raise self._wrong(
                f"it is larger than the {self._map.image_bytes} bytes that its block map is for"
            )

    def _wrong(self, why: str) -> ImageError:
        return ImageError(
            f"{self.label} is not what its block map {self.map_label} describes",
            why=why,
            remedy="fetch both again, from one build; without the map: --no-bmap",
        )


def _name(blocks: BlockRange) -> str:
    return f"blocks {blocks.first} to {blocks.last} do not have the checksum of the map"


class Checksums:
    """Computes checksums in two threads beside the reading; call `finish` before the `with` block ends.

    Args:
        kind: Name of the checksums for `hashlib`.
        wrong: Called with the name of a range whose checksum differs; returns the error to raise.
    """

    def __init__(self, kind: str, wrong: Callable[[str], Exception]) -> None:
        self._kind = kind
        self._wrong = wrong
        self._pool = ThreadPoolExecutor(_THREADS, "checks")
        self._waiting: deque[Future[str]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def range(self, name: str, expected: str) -> CheckedRange:
        """Return a new range.

        Args:
            name: Passed to `wrong`.
            expected: Its checksum, hexadecimal; empty if it has none.
        """
        return CheckedRange(self, name, expected, hashlib.new(self._kind) if expected else None)

    def finish(self) -> None:
        """Wait for all ranges; raise the error of the first one that differs."""
        self._wait(0)

    def submit(self, task: Callable[[], str]) -> Future[str]:
        """Run a task in a thread; it returns the name of a range that differs, or an empty string."""
        self._wait(_MOST_WAITING - 1)
        future = self._pool.submit(task)
        self._waiting.append(future)
        return future

    def _wait(self, allowed: int) -> None:
        while len(self._waiting) > allowed:
            self.check(self._waiting.popleft().result())

    def check(self, wrong: str) -> None:
        """Raise the error of a range; do nothing for an empty name."""
        if wrong:
            raise self._wrong(wrong)


class CheckedRange:
    """One range: its bytes are hashed in order, in parallel with other ranges."""

    def __init__(self, checksums: Checksums, name: str, expected: str, digest: Any) -> None:  # noqa: ANN401 - hashlib's
        self._checksums = checksums
        self._name = name
        self._expected = expected
        self._digest = digest
        self._last: Future[str] | None = None

    def add(self, data: memoryview, *, is_last: bool) -> Future[str] | None:
        """Hash the next bytes, and compare the checksum after the last ones.

        Returns:
            A future that is done after the bytes were hashed; None if they are already, or need not be.
        """
        if self._digest is None:
            return None
        before = self._last
        if before is None and is_last and len(data) <= _SMALL_BYTES:
            self._digest.update(data)
            self._checksums.check(self._name if self._digest.hexdigest() != self._expected else "")
            return None

        def count() -> str:
            if before is not None:
                before.result()
            self._digest.update(data)
            return self._name if is_last and self._digest.hexdigest() != self._expected else ""

        self._last = self._checksums.submit(count)
        return self._last
