"""Tests that run on each board, as a user writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from hil.dutlink.board import Board

SIGNS = Path(os.environ["HIL_TEST_SIGNS"])


def test_meter(dutlink: Board, request: pytest.FixtureRequest) -> None:
    dutlink.power.read()
    (SIGNS / request.node.name).write_text(dutlink.serial)


def test_version(dutlink: Board, request: pytest.FixtureRequest) -> None:
    dutlink.power.read()
    (SIGNS / request.node.name).write_text(dutlink.serial)
