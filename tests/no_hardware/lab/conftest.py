"""A fake board in a file, for guards: it says "on" until an action writes "off"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.lab.safe_state.policy import Safety

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board"
    path.write_text("on")
    return path


@pytest.fixture
def safety(board: Path) -> Safety:
    return Safety("tests.support.fake_board:switch_off", {"board": str(board)}, limit_s=1, absent_s=0.1)
