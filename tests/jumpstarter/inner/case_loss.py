"""Tests of a parallel run that loses one of its two exporters."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.power.power import Power

SIGNS = Path(os.environ["HIL_TEST_SIGNS"])
LIMIT_S = 60.0


@pytest.mark.parametrize("number", range(10))
def test_a_board(dutlink: Board, power: Power, number: int) -> None:
    (SIGNS / f"on-{dutlink.serial}").touch()
    ends = time.monotonic() + LIMIT_S
    while not (SIGNS / "go on").exists():
        assert time.monotonic() < ends
        time.sleep(0.02)

    power.on()

    (SIGNS / f"ran-{number}").write_text(dutlink.serial)


def test_no_board() -> None:
    (SIGNS / "plain").touch()
