"""The name that an image has by its content."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from disk_bench import MIB, StickBench
from image_makers import BLOCK, COMPRESSORS, android_sparse, bmap_of, write_blocks

from hil.flash.flashing import flash_image
from hil.flash.formats.open import open_image
from hil.flash.progress import NoProgress

if TYPE_CHECKING:
    from pathlib import Path

    from hil.flash.results import Flashed

RANDOM = random.Random(11)  # noqa: S311 - content, no secret
BLOCKS: list[bytes | None] = [
    RANDOM.randbytes(BLOCK) if number % 900 < 300 else None for number in range(1500)
]
"""Runs of more than a MiB that begin and end within one, and holes of more than two."""

DENSE = b"".join(block or bytes(BLOCK) for block in BLOCKS)


@pytest.fixture
def bench(tmp_path: Path) -> StickBench:
    return StickBench(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.img"
    path.write_bytes(DENSE)
    return path


@pytest.fixture
def digest(bench: StickBench, image: Path) -> str:
    """Of the image as a plain file."""
    return flashed(bench, image).digest


def flashed(bench: StickBench, image: Path, *, force: bool = False) -> Flashed:
    return flash_image(bench.claim, open_image(image), NoProgress(), force=force)


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_an_archive_has_the_digest_of_what_is_in_it(
    bench: StickBench, tmp_path: Path, digest: str, kind: str
) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(COMPRESSORS[kind](DENSE))

    assert flashed(bench, archive, force=True).digest == digest


def test_a_file_with_holes_has_the_digest_of_one_with_zeros(
    bench: StickBench, tmp_path: Path, digest: str
) -> None:
    assert flashed(bench, write_blocks(tmp_path / "holes.img", BLOCKS), force=True).digest == digest


def test_an_image_with_a_block_map_has_the_digest_of_one_without(
    bench: StickBench, image: Path, digest: str
) -> None:
    image.with_name("image.img.bmap").write_bytes(bmap_of(BLOCKS))

    assert flashed(bench, image, force=True).digest == digest


def test_an_android_sparse_image_has_the_digest_of_the_raw_one(
    bench: StickBench, tmp_path: Path, digest: str
) -> None:
    sparse = tmp_path / "sparse.img"
    sparse.write_bytes(android_sparse(BLOCKS))

    assert flashed(bench, sparse, force=True).digest == digest


def test_an_image_that_is_on_the_stick_already_has_the_same_digest(
    bench: StickBench, image: Path, digest: str
) -> None:
    again = flashed(bench, image)

    assert not again.was_written
    assert again.digest == digest


def test_an_image_whose_head_alone_is_written_has_the_same_digest(
    bench: StickBench, image: Path, digest: str
) -> None:
    with bench.file.open("r+b") as stick:
        stick.write(bytes(MIB))

    again = flashed(bench, image)

    assert again.written_bytes == MIB
    assert again.digest == digest


@pytest.mark.parametrize("at", [0, MIB - 1, 299 * BLOCK, 1000 * BLOCK, len(DENSE) - 1])
def test_one_bit_makes_another_digest(bench: StickBench, image: Path, digest: str, at: int) -> None:
    changed = bytearray(DENSE)
    changed[at] ^= 1
    image.write_bytes(changed)

    assert flashed(bench, image).digest != digest


def test_a_zero_at_the_end_makes_another_digest(bench: StickBench, image: Path, digest: str) -> None:
    with image.open("ab") as file:
        file.write(bytes(512))

    assert flashed(bench, image).digest != digest


def test_the_digest_is_the_one_by_which_histories_know_an_image(bench: StickBench, image: Path) -> None:
    image.write_bytes(b"\x01" * (MIB + 5) + bytes(3 * MIB) + b"\x02" * 512)
    cells = ((b"\x01" * MIB, 0), (b"\x01" * 5 + bytes(MIB - 5), 1), (bytes(5) + b"\x02" * 512, 4))
    lines = [b"%d %b\n" % (number, sha256(cell.ljust(MIB, b"\0")).digest()) for cell, number in cells]

    assert flashed(bench, image).digest == sha256(b"".join(lines) + b"%d" % (4 * MIB + 517)).hexdigest()


@pytest.mark.parametrize("force", [False, True])
def test_an_image_that_is_all_head_has_a_digest(bench: StickBench, image: Path, *, force: bool) -> None:
    image.write_bytes(b"\x01" * 5000)
    lines = b"0 %b\n5000" % sha256((b"\x01" * 5000).ljust(MIB, b"\0")).digest()

    assert flashed(bench, image, force=force).digest == sha256(lines).hexdigest()


def test_the_words_for_an_image_tell_two_builds_apart(bench: StickBench, image: Path) -> None:
    one = flashed(bench, image)

    assert one.image == f"image.img ({len(DENSE)} bytes, {one.digest[:12]})"
    assert replace(one, digest="f" * 64).image != one.image
