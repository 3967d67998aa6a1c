"""What an image's files are known by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.flash import fingerprint
from hil.flash.fingerprint import ImageFileState

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image that nobody has touched for long enough."""
    monkeypatch.setattr(fingerprint, "_SETTLED_S", 0.0)
    path = tmp_path / "image.img"
    path.write_bytes(b"image")
    return path


def test_an_image_that_nobody_touched_is_the_same(image: Path) -> None:
    assert ImageFileState.of(image, True) == ImageFileState.of(image, True) != None  # noqa: E711 - neither is None


def test_an_image_with_other_bytes_and_its_old_time_is_another(image: Path) -> None:
    before, seen = image.stat(), ImageFileState.of(image, True)
    image.write_bytes(b"IMAGE")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert ImageFileState.of(image, True) != seen


def test_an_image_in_the_place_of_another_is_another(image: Path) -> None:
    seen = ImageFileState.of(image, True)
    fresh = image.with_name("fresh")
    fresh.write_bytes(b"image")
    fresh.replace(image)

    assert ImageFileState.of(image, True) != seen


def test_a_block_map_beside_it_makes_it_another(image: Path) -> None:
    seen = ImageFileState.of(image, True)
    image.with_name("image.img.bmap").write_text("map")

    assert ImageFileState.of(image, True) != seen
    assert ImageFileState.of(image, False) == seen


def test_an_image_of_this_moment_is_never_the_same(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.img"
    fresh.write_bytes(b"image")

    assert ImageFileState.of(fresh, True) is None


def test_an_image_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert ImageFileState.of(tmp_path / "nowhere.img", True) is None
