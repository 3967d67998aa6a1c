"""The digest that names an image by its content."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from hil.flash.flash_image import flash_image
from hil.flash.formats.open import open_image
from hil.flash.progress import NoProgress
from tests.support.disk_bench import MIB, StickBench
from tests.support.image_makers import BLOCK, COMPRESSORS, android_sparse, bmap_of, write_blocks

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
def test_image_digest_of_an_archive_is_that_of_its_content(
    bench: StickBench, tmp_path: Path, digest: str, kind: str
) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(COMPRESSORS[kind](DENSE))

    assert flashed(bench, archive, force=True).digest == digest


def test_image_digest_ignores_holes(bench: StickBench, tmp_path: Path, digest: str) -> None:
    assert flashed(bench, write_blocks(tmp_path / "holes.img", BLOCKS), force=True).digest == digest


def test_image_digest_ignores_a_block_map(bench: StickBench, image: Path, digest: str) -> None:
    image.with_name("image.img.bmap").write_bytes(bmap_of(BLOCKS))

    assert flashed(bench, image, force=True).digest == digest


def test_image_digest_of_an_android_sparse_image_is_that_of_the_raw_one(
    bench: StickBench, tmp_path: Path, digest: str
) -> None:
    sparse = tmp_path / "sparse.img"
    sparse.write_bytes(android_sparse(BLOCKS))

    assert flashed(bench, sparse, force=True).digest == digest


def test_image_digest_is_the_same_without_writing(bench: StickBench, image: Path, digest: str) -> None:
    again = flashed(bench, image)

    assert not again.was_written
    assert again.digest == digest


def test_image_digest_is_the_same_if_only_the_boot_region_is_written(
    bench: StickBench, image: Path, digest: str
) -> None:
    with bench.file.open("r+b") as stick:
        stick.write(bytes(MIB))

    again = flashed(bench, image)

    assert again.written_bytes == MIB
    assert again.digest == digest


@pytest.mark.parametrize("at", [0, MIB - 1, 299 * BLOCK, 1000 * BLOCK, len(DENSE) - 1])
def test_image_digest_differs_by_one_bit(bench: StickBench, image: Path, digest: str, at: int) -> None:
    changed = bytearray(DENSE)
    changed[at] ^= 1
    image.write_bytes(changed)

    assert flashed(bench, image).digest != digest


def test_image_digest_differs_by_a_final_zero(bench: StickBench, image: Path, digest: str) -> None:
    with image.open("ab") as file:
        file.write(bytes(512))

    assert flashed(bench, image).digest != digest


def test_image_digest_keeps_its_definition(bench: StickBench, image: Path) -> None:
    image.write_bytes(b"\x01" * (MIB + 5) + bytes(3 * MIB) + b"\x02" * 512)
    cells = ((b"\x01" * MIB, 0), (b"\x01" * 5 + bytes(MIB - 5), 1), (bytes(5) + b"\x02" * 512, 4))
    lines = [b"%d %b\n" % (number, sha256(cell.ljust(MIB, b"\0")).digest()) for cell, number in cells]

    assert flashed(bench, image).digest == sha256(b"".join(lines) + b"%d" % (4 * MIB + 517)).hexdigest()


@pytest.mark.parametrize("force", [False, True])
def test_image_digest_exists_for_a_tiny_image(bench: StickBench, image: Path, *, force: bool) -> None:
    image.write_bytes(b"\x01" * 5000)
    lines = b"0 %b\n5000" % sha256((b"\x01" * 5000).ljust(MIB, b"\0")).digest()

    assert flashed(bench, image, force=force).digest == sha256(lines).hexdigest()


def test_flashed_image_distinguishes_two_builds(bench: StickBench, image: Path) -> None:
    one = flashed(bench, image)

    assert one.image == f"image.img ({len(DENSE)} bytes, {one.digest[:12]})"
    assert replace(one, digest="f" * 64).image != one.image
