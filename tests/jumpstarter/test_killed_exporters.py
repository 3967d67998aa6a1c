"""An exporter that is killed during a flash or a console session: the board is lost and made safe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.errors import BoardLostError, ConsoleLostError
from hil.flash.progress import NoProgress
from tests.jumpstarter.exporters import wait_for
from tests.jumpstarter.remote_boards import address, open_remote_board

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.certificates import Certificate
    from tests.jumpstarter.exporters import DirectExporter

LIMIT_S = 60.0
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def board(mortal: DirectExporter, certificate: Certificate, tmp_path: Path) -> Iterator[Board]:
    """The board of an exporter that the test kills."""
    with open_remote_board(address(mortal.address, certificate, tmp_path), LIMIT_S) as opened:
        yield opened


class Interrupted(NoProgress):
    """A progress that calls `act` once, after `after_bytes` of an image were sent."""

    def __init__(self, after_bytes: int, act: Callable[[], object]) -> None:
        self._left_bytes = after_bytes
        self._act = act
        self._sends = False

    def begin(self, phase: str, total_bytes: int | None) -> None:
        super().begin(phase, total_bytes)
        self._sends = phase == "send"

    def advance(self, size_bytes: int) -> None:
        super().advance(size_bytes)
        was_left = self._left_bytes > 0
        self._left_bytes -= size_bytes if self._sends else 0
        if was_left and self._left_bytes <= 0:
            self._act()


def test_flash_ends_as_a_lost_board_when_the_exporter_is_killed(
    board: Board, mortal: DirectExporter, control: ManagementClient, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(16 << 20))

    with pytest.raises(BoardLostError):
        board.storage.flash(image, progress=Interrupted(4 << 20, mortal.kill))

    wait_for("the guard makes the board safe", lambda: control.state(board.serial)["mux"] == "off")


def test_console_is_lost_when_the_exporter_is_killed_while_bytes_arrive(
    board: Board, mortal: DirectExporter, control: ManagementClient
) -> None:
    board.power.on()
    board.console.expect("boot", timeout_s=LIMIT_S)

    mortal.kill()

    with pytest.raises(ConsoleLostError):
        board.console.expect("what no DUT says", timeout_s=LIMIT_S)
    wait_for("the guard makes the board safe", lambda: not control.state(board.serial)["supply"])
