"""What an image is made of, piece by piece, told before a byte of it travels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hil.errors import BoardReplyError, ImageError
from hil.flash.formats.image import Extent, Hole

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hil.flash.formats.image import Allocate, Image, SkipChecksums
    from hil.flash.progress import Progress

__all__ = ["CHUNK_BYTES", "ManifestEntry", "SpooledImage", "chunk_digest", "iter_chunks"]

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A range of an image that matters.

    Attributes:
        offset: Where it begins, in bytes.
        size_bytes: Its length; a MiB at most, but for a hole.
        digest: BLAKE2b of its bytes, 16 bytes as hex; empty: it is a hole, and never travels.
    """

    offset: int
    size_bytes: int
    digest: str

    def to_plain(self) -> list[Any]:
        """As plain data."""
        return [self.offset, self.size_bytes, self.digest]

    @property
    def is_hole(self) -> bool:
        """Whether it is zeros that the image does not store."""
        return not self.digest

    @classmethod
    def of(cls, found: Hole | tuple[int, memoryview]) -> Self:
        """Describe what `iter_chunks` yields."""
        if isinstance(found, Hole):
            return cls(found.offset, found.size_bytes, "")
        offset, data = found
        return cls(offset, len(data), chunk_digest(data))

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Self:
        """The inverse of `to_plain`.

        Raises:
            BoardReplyError: That is no piece, or one that would take more memory than a piece may.
        """
        offset, size_bytes, digest = plain
        piece = cls(int(offset), int(size_bytes), str(digest))
        if piece.offset < 0 or piece.size_bytes < 0 or not (piece.is_hole or piece.size_bytes <= CHUNK_BYTES):
            raise BoardReplyError(
                "the plan of an image came garbled",
                why=f"a piece of {piece.size_bytes} bytes at {piece.offset}; one has {CHUNK_BYTES} at most",
                remedy="install the same version of hil on both sides",
            )
        return piece


def chunk_digest(data: bytes | memoryview) -> str:
    """Return what tells pieces apart."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def iter_chunks(image: Image) -> Iterator[Hole | tuple[int, memoryview]]:
    """Yield every hole, and offset and bytes of every piece of an image; raises what reading it raises.

    Pieces are as large as they may be, however little at a time is read: an archive comes by less than a MiB.
    """
    gathered = _ChunkBuffer()
    for extent in image.extents():
        if isinstance(extent, Hole):
            yield from gathered.given()
            yield extent
            continue
        if extent.offset != gathered.end:
            yield from gathered.given()
        rest = extent.data
        while rest:
            rest = gathered.take(extent.offset + len(extent.data) - len(rest), rest)
            if gathered.size_bytes == CHUNK_BYTES:
                yield from gathered.given()
    yield from gathered.given()


class _ChunkBuffer:
    """A piece that grows."""

    def __init__(self) -> None:
        self._offset = 0
        self._parts: list[memoryview] = []
        self.size_bytes = 0

    @property
    def end(self) -> int:
        """Where the next byte of it would belong."""
        return self._offset + self.size_bytes

    def take(self, offset: int, data: memoryview) -> memoryview:
        """Take as much as there is room for, which belongs at `offset`; returns the rest."""
        if not self._parts:
            self._offset = offset
        part = data[: CHUNK_BYTES - self.size_bytes]
        self._parts.append(part)
        self.size_bytes += len(part)
        return data[len(part) :]

    def given(self) -> Iterator[tuple[int, memoryview]]:
        """Give it away, if it is anything, and begin another one."""
        parts, self._parts, self.size_bytes = self._parts, [], 0
        if parts:
            yield self._offset, parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


class SpooledImage:
    """An image whose pieces have come to the exporter, in a file at their own offsets; an `Image`.

    Args:
        label: The image's name.
        size_bytes: Its size, holes included.
        pieces: What it is made of.
        file: Where they are.
    """

    is_compressed = is_read_once = False

    def __init__(self, label: str, size_bytes: int, pieces: list[ManifestEntry], file: Path) -> None:
        self.label = label
        self.remarks: list[str] = []
        self.size_bytes = size_bytes
        self.mapped_bytes = self.source_bytes = sum(piece.size_bytes for piece in pieces)
        self._pieces = pieces
        self._file = file

    def check(self, _progress: Progress | None = None) -> None:
        """Do nothing: every piece is held against its digest as it is read."""

    def extents(
        self, _allocate: Allocate | None = None, skip_checksums: SkipChecksums | None = None
    ) -> Generator[Extent | Hole]:
        """Read every piece; see `Image`.

        Raises:
            ImageError: One is not what was planned.
        """
        with self._file.open("rb", buffering=0) as file:
            for piece in self._pieces:
                if piece.is_hole:
                    yield Hole(piece.offset, piece.size_bytes)
                    continue
                file.seek(piece.offset)
                data = file.read(piece.size_bytes)
                is_skipped = skip_checksums is not None and skip_checksums()
                if not is_skipped and chunk_digest(data) != piece.digest:
                    raise ImageError(
                        f"{self.label} did not come to the exporter as it is",
                        why=f"its bytes at {piece.offset} are others",
                        remedy="flash it again",
                    )
                yield Extent(piece.offset, memoryview(data))
