"""Checksums of large ranges, computed in threads."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from hil.errors import ImageError
from hil.flash.formats.open import open_image
from tests.support.image_makers import BLOCK, bmap_of, laid_out

if TYPE_CHECKING:
    from pathlib import Path

    from hil.flash.formats.image import Image

RANDOM = random.Random(3)  # noqa: S311 - content, no secret
BLOCKS = [RANDOM.randbytes(BLOCK) for _ in range(900)]
HOLES = {300, 700}
SIZE = len(BLOCKS) * BLOCK


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Three ranges of more than a MiB each."""
    path = tmp_path / "mapped.img"
    path.write_bytes(b"".join(BLOCKS))
    mapped = [None if number in HOLES else block for number, block in enumerate(BLOCKS)]
    holes_zero = [block if block is not None else bytes(BLOCK) for block in mapped]
    path.write_bytes(b"".join(holes_zero))
    path.with_name("mapped.bmap").write_bytes(bmap_of(mapped))
    return path


def read(image: Image) -> int:
    return sum(len(extent.data) for extent in image.extents())


def test_checksums_accept_an_image_that_matches_its_map(image: Path) -> None:
    assert laid_out(open_image(image)) == image.read_bytes()


@pytest.mark.parametrize("at", [0, 299 * BLOCK, 301 * BLOCK, 600 * BLOCK + 5, 699 * BLOCK, SIZE - 1])
def test_checksums_find_one_wrong_bit_in_a_large_range(image: Path, at: int) -> None:
    data = bytearray(image.read_bytes())
    data[at] ^= 4
    image.write_bytes(data)

    with pytest.raises(ImageError, match="do not have the checksum of the map"):
        read(open_image(image))


def test_checksums_leave_no_thread_if_reading_stops_early(image: Path) -> None:
    before = set(threading.enumerate())
    extents = open_image(image).extents()
    next(extents)
    next(extents)

    extents.close()

    assert set(threading.enumerate()) <= before  # threads of other tests may end during this one
