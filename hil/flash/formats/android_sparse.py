"""Android sparse images: chunks of raw bytes, of repeated words, and of blocks that do not matter.

Format: AOSP, system/core/libsparse/sparse_format.h, version 1.0. All numbers are little-endian.
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.formats.image import Extent
from hil.flash.formats.stream import MAX_READ_BYTES, ImageFile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hil.flash.formats.image import Allocate, SkipChecksums
    from hil.flash.formats.stream import ImageStream
    from hil.flash.progress import Progress

__all__ = ["MAGIC", "AndroidSparseImage", "crc32_with_zeros"]

MAGIC = b"\x3a\xff\x26\xed"
_HEADER = struct.Struct("<4s4H4I")
_CHUNK = struct.Struct("<2H2I")
_WORD_BYTES = 4
_MOST_BLOCK_BYTES = 16 * 1024 * 1024

_POLYNOMIAL = 0xEDB88320  # reflected: the highest bit is the factor of x^0
_ONE = 0x80000000
_X_TO_8 = 0x00800000
_ALL = 0xFFFFFFFF


class ChunkKind(enum.IntEnum):
    """Type of a chunk."""

    RAW = 0xCAC1
    FILL = 0xCAC2
    DONT_CARE = 0xCAC3
    CRC32 = 0xCAC4


@dataclass(frozen=True, slots=True)
class _Header:
    chunk_header_bytes: int
    header_bytes: int
    block_bytes: int
    blocks: int
    chunks: int
    checksum: int

    @classmethod
    def parse(cls, data: bytes, label: str) -> _Header:
        magic, major, _minor, header_bytes, chunk_bytes, block_bytes, blocks, chunks, checksum = (
            _HEADER.unpack(data)
        )
        sound = (
            magic == MAGIC
            and major == 1
            and header_bytes >= _HEADER.size
            and chunk_bytes >= _CHUNK.size
            and 0 < block_bytes <= _MOST_BLOCK_BYTES
            and block_bytes % _WORD_BYTES == 0
            and blocks > 0
        )
        if not sound:
            raise _damaged(label, f"its header says version {major}, {blocks} blocks of {block_bytes} bytes")
        return cls(chunk_bytes, header_bytes, block_bytes, blocks, chunks, checksum)


class AndroidSparseImage:
    """An Android sparse image, maybe compressed; an `Image`.

    Raises:
        ImageError: Its header is damaged.
    """

    mapped_bytes = None

    def __init__(self, path: Path) -> None:
        self._file = ImageFile(path)
        self.label = self._file.label
        self.source_bytes = self._file.size_bytes
        self.remarks = self._file.remarks
        with self._file.stream() as stream:
            self.is_compressed = stream.compression is not None
            self.is_read_once = stream.is_slow
            self._header = _Header.parse(stream.read_exactly(_HEADER.size), self.label)

    @property
    def size_bytes(self) -> int:
        """Size of the disk that it describes."""
        return self._header.blocks * self._header.block_bytes

    def extents(
        self, _allocate: Allocate | None = None, _skip_checksums: SkipChecksums | None = None
    ) -> Generator[Extent]:
        """Read raw and repeated chunks; see `Image`."""
        with self._file.stream() as stream:
            stream.skip(self._header.header_bytes)
            yield from _Chunks(stream, self._header, self.label).read()

    def check(self, _progress: Progress | None = None) -> None:
        """Check that the file is unchanged; see `Image`."""
        self._file.check_unchanged()


class _Chunks:
    """One pass over the chunks. Its checksum covers all bytes; bytes that do not matter count as zeros."""

    def __init__(self, stream: ImageStream, header: _Header, label: str) -> None:
        self._stream = stream
        self._header = header
        self._label = label
        self._at = 0
        self._crc = 0

    def read(self) -> Iterator[Extent]:
        header = self._header
        for _ in range(header.chunks):
            kind, _, blocks, total_bytes = _CHUNK.unpack(self._stream.read_exactly(_CHUNK.size))
            self._stream.skip(header.chunk_header_bytes - _CHUNK.size)
            length = blocks * header.block_bytes
            if self._at + length > header.blocks * header.block_bytes:
                raise _damaged(self._label, "its chunks are more than its header says")
            yield from self._chunk(kind, length, total_bytes - header.chunk_header_bytes)
        if self._at != header.blocks * header.block_bytes:
            raise _damaged(self._label, "its chunks are fewer than its header says")
        if header.checksum and header.checksum != self._crc:
            raise _damaged(self._label, "its checksum does not agree")
        if self._stream.read(1):
            raise _damaged(self._label, "something follows its last chunk")

    def _chunk(self, kind: int, length: int, body_bytes: int) -> Iterator[Extent]:
        if (kind, body_bytes) == (ChunkKind.RAW, length):
            yield from self._raw(length)
        elif (kind, body_bytes) == (ChunkKind.FILL, _WORD_BYTES):
            yield from self._fill(self._stream.read_exactly(_WORD_BYTES), length)
        elif (kind, body_bytes) == (ChunkKind.DONT_CARE, 0):
            self._skip(length)
        elif (kind, body_bytes) == (ChunkKind.CRC32, _WORD_BYTES):
            if int.from_bytes(self._stream.read_exactly(_WORD_BYTES), "little") != self._crc:
                raise _damaged(self._label, f"the checksum of its first {self._at} bytes does not agree")
        else:
            raise _damaged(self._label, f"a chunk of kind {kind:#06x} with {body_bytes} bytes")

    def _raw(self, length: int) -> Iterator[Extent]:
        while length:
            data = self._stream.read_exactly(min(length, MAX_READ_BYTES))
            length -= len(data)
            yield self._extent(memoryview(data))

    def _fill(self, word: bytes, length: int) -> Iterator[Extent]:
        filled = memoryview(word * (min(length, MAX_READ_BYTES) // _WORD_BYTES))
        while length:
            data = filled[: min(length, MAX_READ_BYTES)]
            length -= len(data)
            yield self._extent(data)

    def _extent(self, data: memoryview) -> Extent:
        self._crc = zlib.crc32(data, self._crc)
        extent = Extent(self._at, data)
        self._at += len(data)
        return extent

    def _skip(self, length: int) -> None:
        self._at += length
        self._crc = crc32_with_zeros(self._crc, length)


def _damaged(label: str, why: str) -> ImageError:
    return ImageError(f"{label} is a damaged Android sparse image", why=why, remedy="fetch or make it again")


def crc32_with_zeros(crc: int, size_bytes: int) -> int:
    """Return `zlib.crc32(bytes(size_bytes), crc)` for any size, without that memory.

    Appending a zero byte multiplies the checksum's state by x^8 modulo the polynomial of CRC-32 (ISO 3309).
    So n zero bytes are one multiplication by x^(8n), which takes as many squarings as n has bits.
    """
    factor, square = _ONE, _X_TO_8
    while size_bytes:
        if size_bytes & 1:
            factor = _times(factor, square)
        square = _times(square, square)
        size_bytes >>= 1
    return _times(crc ^ _ALL, factor) ^ _ALL


def _times(one: int, other: int) -> int:
    """Return the product of two polynomials modulo the polynomial of CRC-32."""
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & _ALL
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product
