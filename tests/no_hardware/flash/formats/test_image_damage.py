"""A damaged image is never read to its end without an error."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from hil.errors import ImageError
from hil.flash.formats.bmap import read_bmap
from hil.flash.formats.open import open_image
from tests.support.image_makers import BLOCK, COMPRESSORS, android_sparse, bmap_of, content, write_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RANDOM = random.Random(5)  # noqa: S311 - the same damage each time
DATA = RANDOM.randbytes(700) + b"text " * 300
BLOCKS: list[bytes | None] = [RANDOM.randbytes(BLOCK), None, b"fill" * (BLOCK // 4), RANDOM.randbytes(BLOCK)]


def assert_flips_are_found_or_harmless(
    whole: bytes, positions: Iterable[int], good: dict[int, bytes | None], file: Path
) -> None:
    """With one bit of each of these bytes turned, the image is refused, or holds what it should."""
    for at in positions:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << RANDOM.randrange(8)
        file.write_bytes(damaged)
        try:
            got = content(open_image(file))
        except ImageError:
            continue

        assert got == good, f"byte {at}"


@pytest.mark.parametrize("name", COMPRESSORS)
def test_archive_truncated_at_any_byte_is_detected(name: str, tmp_path: Path) -> None:
    whole = COMPRESSORS[name](DATA)
    for size in range(1, len(whole)):
        (tmp_path / "image").write_bytes(whole[:size])

        with pytest.raises(ImageError):
            content(open_image(tmp_path / "image"))


@pytest.mark.parametrize("name", COMPRESSORS)
def test_archive_with_a_flipped_bit_is_detected_or_harmless(name: str, tmp_path: Path) -> None:
    whole = COMPRESSORS[name](DATA)
    start = 6  # a flip in the magic number makes it another kind of file

    assert_flips_are_found_or_harmless(whole, range(start, len(whole)), {0: DATA}, tmp_path / "image")


@pytest.mark.parametrize("name", ["xz", "lz4", "zstd"])
def test_archive_followed_by_garbage_is_detected(name: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(COMPRESSORS[name](DATA) + b"garbage behind it")

    with pytest.raises(ImageError):
        content(open_image(tmp_path / "image"))


def test_android_sparse_image_truncated_at_any_byte_is_detected(tmp_path: Path) -> None:
    whole = android_sparse(BLOCKS)
    for size in [*range(28, 100), *range(4000, len(whole), 511), len(whole) - 1]:
        (tmp_path / "image").write_bytes(whole[:size])

        with pytest.raises(ImageError):
            content(open_image(tmp_path / "image"))


@pytest.mark.parametrize("crc_chunk", [False, True])
def test_android_sparse_image_with_a_flipped_bit_is_detected(crc_chunk: bool, tmp_path: Path) -> None:
    whole = android_sparse(BLOCKS, checksum=not crc_chunk, crc_chunk=crc_chunk)
    positions = [*range(4, 6), *range(8, 40), *RANDOM.sample(range(40, len(whole)), 200)]
    good = {0: BLOCKS[0], 2 * BLOCK: b"".join(block or b"" for block in BLOCKS[2:])}

    assert_flips_are_found_or_harmless(whole, positions, good, tmp_path / "image")


def test_android_sparse_image_of_no_blocks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(struct.pack("<I4H4I", 0xED26FF3A, 1, 0, 28, 12, 4096, 0, 0, 0))

    with pytest.raises(ImageError, match="0 blocks"):
        open_image(tmp_path / "image")


def test_android_sparse_image_followed_by_bytes_is_detected(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(android_sparse(BLOCKS) + b"x")

    with pytest.raises(ImageError, match="follows"):
        content(open_image(tmp_path / "image"))


def test_mapped_image_detects_a_wrong_range(tmp_path: Path) -> None:
    image = write_blocks(tmp_path / "image", BLOCKS)
    (tmp_path / "image.bmap").write_bytes(bmap_of(BLOCKS))
    with image.open("r+b") as file:
        file.seek(3 * BLOCK + 5)
        file.write(b"!")

    with pytest.raises(ImageError, match="blocks 2 to 3"):
        content(open_image(image))


@pytest.mark.parametrize("change", [-1, 1, BLOCK])
def test_mapped_image_detects_another_size(change: int, tmp_path: Path) -> None:
    image = write_blocks(tmp_path / "image", BLOCKS)
    (tmp_path / "image.bmap").write_bytes(bmap_of(BLOCKS))
    with image.open("r+b") as file:
        file.truncate(len(BLOCKS) * BLOCK + change)

    with pytest.raises(ImageError):
        content(open_image(image))


def test_read_bmap_detects_a_flipped_bit(tmp_path: Path) -> None:
    whole = bmap_of(BLOCKS)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << RANDOM.randrange(7)
        (tmp_path / "image.bmap").write_bytes(damaged)

        with pytest.raises(ImageError, match=r"image\.bmap"):
            read_bmap(tmp_path / "image.bmap")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<Range>0</Range>", "<Range>2-3</Range>", "out of order"),
        ("<Range>0</Range>", "<Range>zero</Range>", "zero"),
        ("<Range>0</Range>", "<Range>7</Range>", "outside"),
        (" 3 </MappedBlocksCount>", " 4 </MappedBlocksCount>", "maps? 3 blocks"),
        (" 4 </BlocksCount>", " 5 </BlocksCount>", "make 4 blocks"),
        ("4096", "0", "blocks of 0"),
        ("4096", "many", "many"),
        ("<BlockSize> 4096 </BlockSize>", "", "BlockSize is missing"),
        ('version="1.2"', 'version="3.0"', r"3\.0"),
        ('version="1.2"', 'version="1.1"', r"1\.1"),
        ('version="1.2"', "", "version"),
        ('version="1.2"', 'version="1.3"', "own checksum is missing"),
        ("<bmap", '<!DOCTYPE a [<!ENTITY b "c">]><bmap', "entity"),
    ],
)
def test_read_bmap_refuses_a_contradictory_map(old: str, new: str, why: str, tmp_path: Path) -> None:
    text = bmap_of(BLOCKS, "1.2").decode()
    assert old in text
    (tmp_path / "image.bmap").write_text(text.replace(old, new), "utf-8")

    with pytest.raises(ImageError, match=why):
        read_bmap(tmp_path / "image.bmap")


@pytest.mark.parametrize("encoding", ["utf-16", "cp037", "no-such-encoding"])
def test_read_bmap_refuses_another_encoding(encoding: str, tmp_path: Path) -> None:
    body = bmap_of(BLOCKS, "1.2").decode().partition("?>")[2]
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "c">]>{body}'
    (tmp_path / "image.bmap").write_bytes(text.encode("utf-8" if encoding.startswith("no") else encoding))

    with pytest.raises(ImageError, match=r"image\.bmap"):
        read_bmap(tmp_path / "image.bmap")


def test_read_bmap_reads_an_unknown_encoding_as_utf_8(tmp_path: Path) -> None:
    text = bmap_of(BLOCKS, "1.2").decode().replace('"1.0"', '"1.0" encoding="no-such-encoding"', 1)
    (tmp_path / "image.bmap").write_text(text, "utf-8")

    assert read_bmap(tmp_path / "image.bmap").mapped_bytes == 3 * BLOCK


def test_open_image_refuses_a_map_for_an_android_sparse_image(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(android_sparse(BLOCKS))
    (tmp_path / "image.bmap").write_bytes(bmap_of(BLOCKS))

    with pytest.raises(ImageError, match="--no-bmap"):
        open_image(tmp_path / "image")
