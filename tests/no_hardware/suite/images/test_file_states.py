"""The states of image files: what counts as a change during a run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.errors import FlashError
from hil.images.source import ImageSource, parse_image
from hil.suite.images.file_states import check_unchanged, states_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.no_hardware


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "dut.img"
    path.write_bytes(b"first")
    return path


def test_image_that_stays_is_unchanged(image: Path) -> None:
    source = ImageSource(image)

    check_unchanged(source, states_of([source]))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda image: image.write_bytes(b"another"), "changed"),
        (lambda image: os.utime(image, ns=(0, 0)), "changed"),
        (lambda image: _build_again(image, b"other"), "changed"),
        (lambda image: image.with_name("dut.img.bmap").write_bytes(b"map"), "changed"),
        (lambda image: image.unlink(), "removed"),
    ],
    ids=["content", "mtime", "same size and mtime", "block map", "removed"],
)
def test_image_whose_files_change_is_an_error(
    image: Path, change: Callable[[Path], object], word: str
) -> None:
    source = ImageSource(image)
    planned = states_of([source])
    change(image)

    with pytest.raises(FlashError, match=f"was {word} during the run"):
        check_unchanged(source, planned)


def _build_again(image: Path, content: bytes) -> None:
    """Write an image as a build does that pins the times of its files."""
    before = image.stat()
    image.write_bytes(content)
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_link_that_leads_to_another_image_is_an_error(image: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest.img"
    link.symlink_to(image)
    planned = states_of([parse_image("latest.img", tmp_path)])
    (tmp_path / "newer.img").write_bytes(b"newer")
    link.unlink()
    link.symlink_to("newer.img")

    with pytest.raises(FlashError, match=r"newer.img was changed during the run"):
        check_unchanged(parse_image("latest.img", tmp_path), planned)


def test_address_has_no_state() -> None:
    source = ImageSource(url="https://images.lan/dut.img", sha256="0" * 64)

    check_unchanged(source, states_of([source]))

    assert states_of([source]) == {}
