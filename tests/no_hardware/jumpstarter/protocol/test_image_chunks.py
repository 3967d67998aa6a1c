"""Manifest and chunks of an image: split, sent, checked, joined."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import BoardReplyError, ImageError
from hil.flash.formats.image import Extent, Hole
from hil.flash.formats.raw import RawImage
from hil.jumpstarter.client.remote_stick import _checked_length
from hil.jumpstarter.protocol.image_chunks import (
    CHUNK_BYTES,
    ManifestEntry,
    SpooledImage,
    compress,
    decompress,
    iter_chunks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def planned(image: RawImage) -> list[ManifestEntry]:
    return [ManifestEntry.of(found) for found in iter_chunks(image)]


def test_iter_chunks_yields_stored_ranges_and_holes(tmp_path: Path) -> None:
    file = tmp_path / "image"
    with file.open("wb") as image:
        image.write(os.urandom(CHUNK_BYTES + 4096))
        image.seek(8 << 20)
        image.write(os.urandom(4096))

    plan = planned(RawImage(file))

    assert [(piece.offset, piece.size_bytes, piece.is_hole) for piece in plan] == [
        (0, CHUNK_BYTES, False),
        (CHUNK_BYTES, 4096, False),
        (CHUNK_BYTES + 4096, (8 << 20) - CHUNK_BYTES - 4096, True),
        (8 << 20, 4096, False),
    ]


class Dribble:
    """An image that is read a few bytes at a time, as an archive may be."""

    def __init__(self, *extents: Extent | Hole) -> None:
        self._extents = extents

    def extents(self) -> Iterator[Extent | Hole]:
        for extent in self._extents:
            if isinstance(extent, Hole):
                yield extent
                continue
            for at in range(0, len(extent.data), 100_000):
                yield Extent(extent.offset + at, extent.data[at : at + 100_000])


def test_iter_chunks_joins_small_extents() -> None:
    data = memoryview(os.urandom(2 * CHUNK_BYTES + 4096))
    later = 8 * CHUNK_BYTES
    image: Any = Dribble(
        Extent(0, data), Hole(len(data), 4096), Extent(later, data[:5000]), Extent(later + 9000, data[:7])
    )

    pieces = list(iter_chunks(image))

    assert pieces == [
        (0, data[:CHUNK_BYTES]),
        (CHUNK_BYTES, data[CHUNK_BYTES : 2 * CHUNK_BYTES]),
        (2 * CHUNK_BYTES, data[2 * CHUNK_BYTES :]),
        Hole(len(data), 4096),
        (later, data[:5000]),
        (later + 9000, data[:7]),
    ]


def test_spooled_image_has_the_holes_of_the_image(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"data" * 1024)
    os.truncate(file, 1 << 20)

    extents = list(SpooledImage("image", 1 << 20, planned(RawImage(file)), file).extents())

    assert extents[1:] == [Hole(4096, (1 << 20) - 4096)]


def test_spooled_image_refuses_a_chunk_with_another_digest(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(os.urandom(8192))
    plan = planned(RawImage(file))
    file.write_bytes(bytes(8192))

    with pytest.raises(ImageError, match="arrived damaged on the exporter"):
        list(SpooledImage("image", 8192, plan, file).extents())


@given(st.binary(min_size=1, max_size=5000))
def test_decompress_returns_the_compressed_bytes(data: bytes) -> None:
    assert decompress(compress(data), len(data)) == data


@pytest.mark.parametrize("size_bytes", [9, 11])
def test_decompress_refuses_a_chunk_of_another_size(size_bytes: int) -> None:
    with pytest.raises(ImageError, match="arrived damaged"):
        decompress(compress(bytes(10)), size_bytes)


def test_decompress_refuses_bytes_that_are_no_zstd() -> None:
    with pytest.raises(ImageError, match="arrived damaged"):
        decompress(b"not zstd at all", 15)


@pytest.mark.parametrize(
    "plain", [[0, 2 << 30, "ab"], [0, CHUNK_BYTES + 1, "ab"], [-1, 4096, "ab"], [0, -1, ""], [0, -1, "ab"]]
)
def test_manifest_entry_refuses_a_size_that_no_run_sends(plain: list[Any]) -> None:
    with pytest.raises(BoardReplyError, match="the manifest of the image arrived damaged"):
        ManifestEntry.from_plain(plain)


def test_manifest_entry_of_a_hole_may_be_larger_than_a_chunk() -> None:
    assert ManifestEntry.from_plain([0, 1 << 40, ""]).is_hole


@pytest.mark.parametrize(("length", "left"), [(0, 4096), (2 << 30, 4 << 30), (4097, 4096), (1, 0)])
def test_checked_length_refuses_a_length_that_no_exporter_sends(length: int, left: int) -> None:
    with pytest.raises(BoardReplyError, match="arrived damaged"):
        _checked_length(length, left)
