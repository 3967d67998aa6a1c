"""The state of an image's files."""

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
    """An image that has been unchanged for long enough."""
    monkeypatch.setattr(fingerprint, "_SETTLED_S", 0.0)
    path = tmp_path / "image.img"
    path.write_bytes(b"image")
    return path


def test_image_file_state_is_equal_for_an_unchanged_file(image: Path) -> None:
    assert ImageFileState.of(image, True) == ImageFileState.of(image, True) != None  # noqa: E711 - neither is None


def test_image_file_state_differs_after_a_write_with_the_old_mtime(image: Path) -> None:
    before, seen = image.stat(), ImageFileState.of(image, True)
    image.write_bytes(b"IMAGE")
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert ImageFileState.of(image, True) != seen


def test_image_file_state_differs_for_a_replaced_file(image: Path) -> None:
    seen = ImageFileState.of(image, True)
    fresh = image.with_name("fresh")
    fresh.write_bytes(b"image")
    fresh.replace(image)

    assert ImageFileState.of(image, True) != seen


def test_image_file_state_includes_the_block_map(image: Path) -> None:
    seen = ImageFileState.of(image, True)
    image.with_name("image.img.bmap").write_text("map")

    assert ImageFileState.of(image, True) != seen
    assert ImageFileState.of(image, False) == seen


def test_image_file_state_is_none_for_a_fresh_file(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.img"
    fresh.write_bytes(b"image")

    assert ImageFileState.of(fresh, True) is None


def test_image_file_state_is_none_for_a_missing_file(tmp_path: Path) -> None:
    assert ImageFileState.of(tmp_path / "nowhere.img", True) is None
