"""A test that runs on each board with each image, as a user writes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from hil.dutlink.board import Board
    from hil.suite.images.board_images import RunImage

SIGNS = Path(os.environ["HIL_TEST_SIGNS"])


def test_boot(dutlink: Board, image: RunImage, request: pytest.FixtureRequest) -> None:
    dutlink.power.read()
    flashed = dutlink.storage.flashed
    assert flashed is not None
    assert flashed.digest == image.digest
    (SIGNS / request.node.name).write_text(f"{dutlink.serial} {image.version} {dutlink.storage.position}")
