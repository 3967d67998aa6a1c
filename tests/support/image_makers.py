"""Make images of every format with Python's compressors and with formatters written for these tests."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import struct
import sys
import zlib
from typing import TYPE_CHECKING

from hil.flash.formats.image import Hole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.flash.formats.image import Image

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 4096

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0, check=lzma.CHECK_CRC64),
    "lz4": lambda data: _lz4(data),  # noqa: PLW0108 - it is defined below
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}


def _lz4(data: bytes) -> bytes:
    import lz4.frame  # noqa: PLC0415 - most tests need no LZ4

    packed: bytes = lz4.frame.compress(data, content_checksum=True)
    return packed


def content(image: Image) -> dict[int, bytes]:
    """All bytes that an image stores, adjacent extents joined, by where they begin."""
    joined: dict[int, bytes] = {}
    last = None
    for extent in image.extents():
        if isinstance(extent, Hole):
            continue
        if last is not None and last + len(joined[last]) == extent.offset:
            joined[last] += bytes(extent.data)
        else:
            last = extent.offset
            joined[last] = bytes(extent.data)
    return joined


def laid_out(image: Image) -> bytes:
    """Return a disk of zeros after the image was written to it."""
    disk = bytearray()
    for offset, data in content(image).items():
        disk += bytes(offset - len(disk)) + data
    return bytes(disk).ljust(image.size_bytes or 0, b"\0")


def write_blocks(path: Path, blocks: list[bytes | None]) -> Path:
    """Write a raw file of blocks, a hole for each None."""
    with path.open("wb") as file:
        for number, block in enumerate(blocks):
            if block is not None:
                file.seek(number * BLOCK)
                file.write(block)
        file.truncate(len(blocks) * BLOCK)
    return path


def runs(blocks: list[bytes | None]) -> list[tuple[int, int]]:
    """First and last number of each run of blocks that are there."""
    found: list[tuple[int, int]] = []
    for number, block in enumerate(blocks):
        if block is None:
            continue
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def bmap_of(blocks: list[bytes | None], version: str = "2.0", kind: str = "sha256", cut: int = 0) -> bytes:
    """Format the block map of an image whose last block lacks `cut` bytes."""
    raw = b"".join(block or bytes(BLOCK) for block in blocks)
    size = len(raw) - cut
    old = version in {"1.2", "1.3"}
    ranges = ""
    for first, last in runs(blocks):
        data = raw[first * BLOCK : min((last + 1) * BLOCK, size)]
        checksum = hashlib.new("sha1" if old else kind, data).hexdigest()
        mark = "" if version == "1.2" else f' {"sha1" if old else "chksum"}="{checksum}"'
        ranges += f"<Range{mark}>{first}-{last}</Range>" if last > first else f"<Range{mark}>{first}</Range>"
    mapped = sum(last - first + 1 for first, last in runs(blocks))
    zeros = "0" * hashlib.new("sha1" if old else kind).digest_size * 2
    own = {"1.2": "", "1.3": f"<BmapFileSHA1>{zeros}</BmapFileSHA1>"}.get(
        version, f"<ChecksumType> {kind} </ChecksumType><BmapFileChecksum> {zeros} </BmapFileChecksum>"
    )
    text = (
        f'<?xml version="1.0" ?><bmap version="{version}"><ImageSize> {size} </ImageSize>'
        f"<BlockSize> {BLOCK} </BlockSize><BlocksCount> {len(blocks)} </BlocksCount>"
        f"<MappedBlocksCount> {mapped} </MappedBlocksCount>{own}<BlockMap>{ranges}</BlockMap></bmap>"
    ).encode()
    return text.replace(zeros.encode(), hashlib.new("sha1" if old else kind, text).hexdigest().encode())


def android_sparse(blocks: list[bytes | None], *, checksum: bool = True, crc_chunk: bool = False) -> bytes:
    """Format an Android sparse image: repeated words become fill chunks, None does not matter."""
    chunks, body = 0, bytearray()
    for block in blocks:
        chunks += 1
        if block is None:
            body += struct.pack("<2H2I", 0xCAC3, 0, 1, 12)
        elif block == block[:4] * (BLOCK // 4):
            body += struct.pack("<2H2I", 0xCAC2, 0, 1, 16) + block[:4]
        else:
            body += struct.pack("<2H2I", 0xCAC1, 0, 1, 12 + BLOCK) + block
    crc = zlib.crc32(b"".join(block or bytes(BLOCK) for block in blocks))
    if crc_chunk:
        chunks += 1
        body += struct.pack("<2H2I", 0xCAC4, 0, 0, 16) + struct.pack("<I", crc)
    header = struct.pack(
        "<I4H4I", 0xED26FF3A, 1, 0, 28, 12, BLOCK, len(blocks), chunks, crc if checksum else 0
    )
    return header + bytes(body)
