"""Tests that use one board or two, as a user writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.dutlink.board import Board

SIGNS = Path(os.environ["HIL_TEST_SIGNS"])


def test_one(dutlink: Board) -> None:
    dutlink.power.read()
    (SIGNS / "one").write_text(dutlink.serial)


@pytest.mark.hardware(boards=2)
def test_two(dutlinks: Mapping[int, Board]) -> None:
    for board in dutlinks.values():
        board.power.on()
    (SIGNS / "two").write_text(" ".join(board.serial for board in dutlinks.values()))


def test_one_again(dutlink: Board) -> None:
    dutlink.power.read()
    (SIGNS / "again").write_text(dutlink.serial)


@pytest.mark.hardware(boards=2)
def test_held(dutlinks: Mapping[int, Board]) -> None:
    for board in dutlinks.values():
        board.power.on()
    (SIGNS / "held").touch()
    while True:
        dutlinks[0].power.read()
