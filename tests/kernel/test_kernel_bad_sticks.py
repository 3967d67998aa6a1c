"""Bad sticks on Linux' own usb-storage: every write comes back as the kernel tells it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from hil.errors import FlashError, StickLostError

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board
    from tests.kernel.attached import Bench

IMAGE_BYTES = 3 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that is like no other, so that no stick holds a part of it already."""
    path = tmp_path / "image.img"
    path.write_bytes(random.randbytes(IMAGE_BYTES))  # noqa: S311 - no secret
    return path


def position(bench: Bench, board: Board) -> str:
    mux: str = bench.management.state(board.serial)["mux"]
    return mux


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("stick_drop", {"every": 1000}),
        ("stick_counterfeit", {"real_bytes": 2 << 20}),
    ],
)
def test_a_stick_that_lies_is_found_out(
    bench: Bench, board: Board, image: Path, fault: str, arguments: dict[str, int]
) -> None:
    bench.management.fault(board.serial, fault, **arguments)

    with pytest.raises(FlashError):
        board.storage.flash(image)

    assert position(bench, board) == "off"


def test_a_stick_that_is_pulled_out_while_its_head_is_wiped_is_lost(
    bench: Bench, board: Board, image: Path
) -> None:
    bench.management.fault(board.serial, "stick_remove", after_bytes=512 << 10)

    with pytest.raises(StickLostError):
        board.storage.flash(image)

    assert position(bench, board) == "off"
    assert bench.management.state(board.serial)["stick"]["removed"]


def test_a_stick_that_was_put_back_takes_the_image_on_a_second_call(
    bench: Bench, board: Board, image: Path
) -> None:
    bench.management.fault(board.serial, "stick_remove", after_bytes=2 << 20)
    with pytest.raises(StickLostError):
        board.storage.flash(image)
    bench.management.clear(board.serial)

    assert board.storage.flash(image).was_written
