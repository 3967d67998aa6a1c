"""Tests that use one board or two, each board with its image, as a user writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.dutlink.board import Board

SIGNS = Path(os.environ["HIL_TEST_SIGNS"])


def state_of(board: Board) -> str:
    """Return what is on the board's stick, and who sees it."""
    board.power.read()
    flashed = board.storage.flashed
    return f"{board.serial} {flashed and flashed.label} {board.storage.position}"


def test_one(dutlink: Board) -> None:
    (SIGNS / "one").write_text(state_of(dutlink))


@pytest.mark.hardware(boards={"server": "blue", "client": "red"})
def test_two(dutlinks: Mapping[str, Board]) -> None:
    (SIGNS / "two").write_text("\n".join(state_of(dutlinks[role]) for role in ("server", "client")))


@pytest.mark.hardware(tags="blue")
def test_blue(dutlink: Board) -> None:
    (SIGNS / "blue").write_text(state_of(dutlink))
