"""Images to measure with: dense, a quarter mapped, and compressed by the common tools."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compressed", "dense", "quarter"]

_BLOCK_BYTES = 4096
_PIECE_BYTES = 1 << 20
_RUNS = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20]
"""Lengths of mapped runs, as often each: metadata comes in small ones, files in large ones."""

_PACK = {"xz": ["xz", "-1", "-T0", "-c"], "zstd": ["zstd", "-q", "-c"]}


def dense(folder: Path, size_bytes: int) -> Path:
    """An image that is random all over."""
    image = folder / "dense.img"
    with image.open("wb") as file:
        for _ in range(size_bytes // _PIECE_BYTES):
            file.write(os.urandom(_PIECE_BYTES))
    return image


def quarter(folder: Path, size_bytes: int) -> Path:
    """An image of which a quarter is mapped, in runs of all lengths; with its block map beside it."""
    image = folder / "quarter.img"
    rng = random.Random(2)  # noqa: S311 - no secret
    ranges: list[tuple[int, int, str]] = []
    at = 0
    with image.open("wb") as file:
        while at < size_bytes:
            length = min(rng.choice(_RUNS), size_bytes - at)
            data = os.urandom(length)
            file.seek(at)
            file.write(data)
            ranges.append((at, length, hashlib.sha256(data).hexdigest()))
            at += 4 * length
        file.truncate(size_bytes)
    folder.joinpath("quarter.bmap").write_bytes(_bmap(size_bytes, ranges))
    return image


def compressed(folder: Path, size_bytes: int) -> dict[str, Path]:
    """An image, half of it random, as an archive of each compressor that is installed, by its name."""
    image = folder / "mixed.img"
    rng = random.Random(1)  # noqa: S311 - no secret
    with image.open("wb") as file:
        for _ in range(size_bytes // _PIECE_BYTES):
            file.write(rng.randbytes(_PIECE_BYTES // 16) * 8 + rng.randbytes(_PIECE_BYTES // 2))
    found = {name: command for name, command in _PACK.items() if shutil.which(name)}
    for name, command in found.items():
        with folder.joinpath(f"mixed.{name}").open("wb") as archive:
            subprocess.run([*command, image], check=True, stdout=archive)
    image.unlink()
    return {name: folder / f"mixed.{name}" for name in found}


def _bmap(size_bytes: int, ranges: list[tuple[int, int, str]]) -> bytes:
    """Format a block map; it carries its own checksum, counted with zeros in its place."""
    lines = "".join(
        f'<Range chksum="{digest}">{at // _BLOCK_BYTES}-{(at + length) // _BLOCK_BYTES - 1}</Range>\n'
        for at, length, digest in ranges
    )
    mapped = sum(length for _, length, _ in ranges) // _BLOCK_BYTES
    zeros = "0" * 64
    text = (
        f'<?xml version="1.0" ?>\n<bmap version="2.0">\n<ImageSize> {size_bytes} </ImageSize>\n'
        f"<BlockSize> {_BLOCK_BYTES} </BlockSize>\n"
        f"<BlocksCount> {size_bytes // _BLOCK_BYTES} </BlocksCount>\n"
        f"<MappedBlocksCount> {mapped} </MappedBlocksCount>\n"
        f"<ChecksumType> sha256 </ChecksumType>\n<BmapFileChecksum> {zeros} </BmapFileChecksum>\n"
        f"<BlockMap>\n{lines}</BlockMap>\n</bmap>\n"
    ).encode()
    return text.replace(zeros.encode(), hashlib.sha256(text).hexdigest().encode())
