"""Chunks of an image on the way to a stick: their manifest, sent before any bytes, and their compression.

The manifest has the range and digest of each chunk. Each chunk is compressed alone, so that a run can leave
chunks out.

On import this module allocates and frees 32 MiB once. By default glibc maps a block of 1 MiB page by page and
unmaps it when freed, which takes ten times as long as decompressing it; freeing a larger block raises the
size up to which glibc reuses memory (mallopt(3), M_MMAP_THRESHOLD: 32 MiB at most).
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hil.errors import BoardReplyError, ImageError
from hil.flash.formats.image import Extent, Hole

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hil.flash.formats.image import Allocate, Image, SkipChecksums
    from hil.flash.progress import Progress

__all__ = [
    "CHUNK_BYTES",
    "ManifestEntry",
    "SpooledImage",
    "chunk_digest",
    "compress",
    "decompress",
    "iter_chunks",
]

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One chunk or hole of an image.

    Attributes:
        offset: Where it begins, in bytes.
        size_bytes: Its length; at most `CHUNK_BYTES` for a chunk, any for a hole.
        digest: BLAKE2b of its bytes, 16 bytes as hex; empty for a hole, whose zeros are never sent.
    """

    offset: int
    size_bytes: int
    digest: str

    def to_plain(self) -> list[Any]:
        """Return the entry as plain data."""
        return [self.offset, self.size_bytes, self.digest]

    @property
    def is_hole(self) -> bool:
        """Whether the image does not store this range, which reads as zeros."""
        return not self.digest

    @classmethod
    def of(cls, found: Hole | tuple[int, memoryview]) -> Self:
        """Return the entry of a hole or chunk from `iter_chunks`."""
        if isinstance(found, Hole):
            return cls(found.offset, found.size_bytes, "")
        offset, data = found
        return cls(offset, len(data), chunk_digest(data))

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Self:
        """Return the entry that `to_plain` turned into plain data.

        Raises:
            BoardReplyError: The numbers are negative, or the chunk is larger than `CHUNK_BYTES`.
        """
        offset, size_bytes, digest = plain
        entry = cls(int(offset), int(size_bytes), str(digest))
        if entry.offset < 0 or entry.size_bytes < 0 or not (entry.is_hole or entry.size_bytes <= CHUNK_BYTES):
            raise BoardReplyError(
                "the manifest of the image arrived damaged",
                why=f"a chunk of {entry.size_bytes} bytes at {entry.offset}; the limit is {CHUNK_BYTES}",
                remedy="install the same version of hil on both sides",
            )
        return entry


def chunk_digest(data: bytes | memoryview) -> str:
    """Return the digest of a chunk, as its manifest entry has it."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def iter_chunks(image: Image) -> Iterator[Hole | tuple[int, memoryview]]:
    """Yield each hole of an image, and offset and bytes of each chunk; raise what reading the image raises.

    Chunks are as large as the limit allows, however little the image yields at a time: an archive yields less
    than a MiB.
    """
    buffer = _ChunkBuffer()
    for extent in image.extents():
        if isinstance(extent, Hole):
            yield from buffer.flush()
            yield extent
            continue
        if extent.offset != buffer.end:
            yield from buffer.flush()
        rest = extent.data
        while rest:
            rest = buffer.append(extent.offset + len(extent.data) - len(rest), rest)
            if buffer.size_bytes == CHUNK_BYTES:
                yield from buffer.flush()
    yield from buffer.flush()


class _ChunkBuffer:
    """Joins adjacent bytes into one chunk."""

    def __init__(self) -> None:
        self._offset = 0
        self._parts: list[memoryview] = []
        self.size_bytes = 0

    @property
    def end(self) -> int:
        """Offset of the byte after the chunk."""
        return self._offset + self.size_bytes

    def append(self, offset: int, data: memoryview) -> memoryview:
        """Append as much of `data` as fits; `offset` is where it begins. Return the rest."""
        if not self._parts:
            self._offset = offset
        part = data[: CHUNK_BYTES - self.size_bytes]
        self._parts.append(part)
        self.size_bytes += len(part)
        return data[len(part) :]

    def flush(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the chunk unless it is empty, and start the next one."""
        parts, self._parts, self.size_bytes = self._parts, [], 0
        if parts:
            yield self._offset, parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


class SpooledImage:
    """An `Image` that an exporter has received, in a file with each chunk at its own offset.

    Args:
        label: The image's name.
        size_bytes: Size of the image, holes included.
        entries: Its manifest.
        file: The file with the chunks.
    """

    is_compressed = is_read_once = False

    def __init__(self, label: str, size_bytes: int, entries: list[ManifestEntry], file: Path) -> None:
        self.label = label
        self.remarks: list[str] = []
        self.size_bytes = size_bytes
        self.mapped_bytes = self.source_bytes = sum(entry.size_bytes for entry in entries)
        self._entries = entries
        self._file = file

    def check(self, _progress: Progress | None = None) -> None:
        """Do nothing: `extents` checks the digest of each chunk that it reads."""

    def extents(
        self, _allocate: Allocate | None = None, skip_checksums: SkipChecksums | None = None
    ) -> Generator[Extent | Hole]:
        """Yield each chunk and hole; see `Image`.

        Raises:
            ImageError: A chunk differs from the manifest.
        """
        with self._file.open("rb", buffering=0) as file:
            for entry in self._entries:
                if entry.is_hole:
                    yield Hole(entry.offset, entry.size_bytes)
                    continue
                file.seek(entry.offset)
                data = file.read(entry.size_bytes)
                is_skipped = skip_checksums is not None and skip_checksums()
                if not is_skipped and chunk_digest(data) != entry.digest:
                    raise ImageError(
                        f"{self.label} arrived damaged on the exporter",
                        why=f"its bytes at {entry.offset} differ from the manifest",
                        remedy="flash it again",
                    )
                yield Extent(entry.offset, memoryview(data))


_LEVEL = 1
"""The fastest level: a lab's network is faster than any other."""

_REUSED_BYTES = (32 << 20) - (1 << 16)
bytes(_REUSED_BYTES)


def _zstd() -> Any:  # noqa: ANN401 - a module
    """Import zstd: part of Python from 3.14 on, a package before."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def compress(data: bytes | memoryview) -> bytes:
    """Compress a chunk."""
    compressed: bytes = _zstd().compress(data, level=_LEVEL)
    return compressed


def decompress(compressed: bytes, size_bytes: int) -> bytes:
    """Decompress a chunk of `size_bytes`.

    Raises:
        ImageError: The bytes are not zstd, or make a chunk of another size.
    """
    zstd = _zstd()
    try:
        data: bytes = zstd.ZstdDecompressor().decompress(compressed, max_length=size_bytes + 1)
    except zstd.ZstdError as error:
        raise _garbled(str(error)) from error
    if len(data) != size_bytes:
        raise _garbled(f"{len(data)} bytes instead of {size_bytes}")
    return data


def _garbled(why: str) -> ImageError:
    return ImageError("a chunk of the image arrived damaged", why=why, remedy="flash it again")
