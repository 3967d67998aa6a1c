"""An image with a block map: only its mapped ranges are read, and each is held against its checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.checksums import CheckedRange, Checksums
from hil.flash.image import Extent
from hil.flash.stream import PIECE_BYTES, ImageStream, opened

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hil.flash.bmap import BlockMap, BlockRange
    from hil.flash.image import ProvenLater, Room

__all__ = ["MappedImage"]


class MappedImage:
    """A raw image, maybe compressed, and which of its blocks matter; an `Image`."""

    def __init__(self, path: Path, blocks: BlockMap) -> None:
        self.label = path.name
        self.source_bytes = path.stat().st_size
        self._path = path
        self._map = blocks
        with opened(path) as stream:
            self.is_compressed = stream.compression is not None
            self.is_read_once = stream.is_slow

    @property
    def size_bytes(self) -> int:
        """Size as the map says; `extents` finds out whether it is true."""
        return self._map.image_bytes

    @property
    def mapped_bytes(self) -> int:
        """How many bytes matter."""
        return self._map.mapped_bytes

    def extents(self, room: Room | None = None, proven_later: ProvenLater | None = None) -> Generator[Extent]:
        """Read the mapped ranges; see `Image`. Checksums are compared beside it, all before it ends."""
        with opened(self._path) as stream, Checksums(self._map.checksum_kind, self._wrong) as checksums:
            for blocks in self._map.ranges:
                expected = "" if proven_later is not None and proven_later() else blocks.checksum
                name = f"blocks {blocks.first} to {blocks.last} do not have the checksum of the map"
                yield from self._range(stream, blocks, checksums.range(name, expected), room)
            stream.skip(self._map.image_bytes - stream.at)
            checksums.finish()
            if stream.read(1):
                raise self._wrong(
                    f"it is larger than the {self._map.image_bytes} bytes that its block map is for"
                )

    def _range(
        self, stream: ImageStream, blocks: BlockRange, counted: CheckedRange, room: Room | None
    ) -> Iterator[Extent]:
        begin, left = self._map.extent(blocks)
        stream.skip(begin - stream.at)
        while left:
            if room is None or self.is_compressed:
                data = memoryview(stream.exactly(min(left, PIECE_BYTES)))
            else:
                data = room(stream.at)[:left]
                stream.fill(data)
            left -= len(data)
            yield Extent(stream.at - len(data), data, counted.add(data, is_last=not left))

    def _wrong(self, why: str) -> ImageError:
        return ImageError(
            f"{self.label} is not what its block map describes",
            why=why,
            remedy="fetch both again, from one build; without the map: --no-bmap",
        )
