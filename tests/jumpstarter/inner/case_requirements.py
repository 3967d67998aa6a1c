"""Tests that require certain boards, as a user writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.dutlink.board import Board

SIGNS = Path(os.environ["HIL_TEST_SIGNS"])


@pytest.mark.hardware(tags="red")
@pytest.mark.parametrize("number", range(3))
def test_red(dutlink: Board, number: int) -> None:
    (SIGNS / f"red-{number}").write_text(dutlink.serial)


@pytest.mark.hardware(tags="blue")
@pytest.mark.parametrize("number", range(3))
def test_blue(dutlink: Board, number: int) -> None:
    (SIGNS / f"blue-{number}").write_text(dutlink.serial)


@pytest.mark.hardware(tags="green")
def test_green(dutlink: Board) -> None:
    assert dutlink is None


@pytest.mark.parametrize("number", range(4))
def test_any(dutlink: Board, number: int) -> None:
    (SIGNS / f"any-{number}").write_text(dutlink.serial)


def test_no_board() -> None:
    (SIGNS / "plain").touch()
