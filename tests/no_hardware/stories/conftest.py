"""Fixtures for the stories: a simulated board with its DUT, ten times as fast as a real one.

The stories use the output, the password and the pins of this DUT. They test the driver from an image file to
a logged-in system, without USB hardware.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.sim.dut.image import build_image
from tests.no_hardware.stories.dut_story import IMAGE_BYTES, IMAGE_NAME, put_on_stick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.sim.process import SimulatorProcess


@pytest.fixture(scope="module")
def opened(simulator: SimulatorProcess) -> Iterator[Board]:
    host = replace(simulated_host(simulator.ready), stick_memory=None)
    with open_driver(host) as board:
        yield board


@pytest.fixture
def board(opened: Board, simulator: SimulatorProcess) -> Iterator[Board]:
    """The board, safe and with an empty console; afterwards without settings and faults."""
    opened.make_safe()
    opened.console.discard()
    yield opened
    simulator.management.clear(opened.serial)
    opened.settings.write(tags="", power_on="", power_off="", power_rescue="")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / f"{IMAGE_NAME}.img"
    build_image(path, IMAGE_NAME, IMAGE_BYTES)
    return path


@pytest.fixture(scope="module")
def _stick_with_image(opened: Board, image: Path) -> None:
    put_on_stick(opened.storage, image)


@pytest.fixture
def bootable(board: Board, _stick_with_image: None) -> Board:
    """The board; its DUT has a stick with the image, and no power yet."""
    board.storage.dut()
    return board
