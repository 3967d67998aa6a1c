"""Copied into the folder of each cell: its first test switches its DUT on, says so, and waits for its end."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.errors import HilError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hil.dutlink.board import Board

EVERY_S = 0.02

HERE = Path(__file__).parent
BOARDS = int(os.environ["KILL_BOARDS"])


@pytest.fixture(scope="session")
def dutlink(dutlink: Board) -> Board:
    """Extend the suite's own fixture, as a module may; it lives as long as the session."""
    return dutlink


@pytest.fixture
def powered(dutlink: Board, dutlinks: Mapping[int, Board]) -> Iterator[Board]:
    """Use every part that must be safe later; the board's power-off sequence lasts 3 s."""
    for board in dutlinks.values():
        board.power.on()
        board.storage.dut()
        board.pins.low("c")
        board.pins.high("d")
    yield dutlink
    for board in dutlinks.values():
        board.power.off()


@pytest.mark.hardware(boards=BOARDS)
@pytest.mark.parametrize("_turn", range(3))
@pytest.mark.usefixtures("dutlink")
def test_the_first_one_is_told_how_to_end(_turn: int, request: pytest.FixtureRequest) -> None:
    began = time.monotonic()
    if not is_first():
        for board in request.getfixturevalue("dutlinks").values():
            board.power.force_on()  # left to the suite to switch off
        return
    board = request.getfixturevalue("powered")
    tell({"pid": os.getpid(), "began": began})
    obey(board)


def is_first() -> bool:
    try:
        (HERE / "claimed").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def tell(facts: dict[str, float]) -> None:
    with (HERE / "told").open("w", encoding="utf-8") as pipe:
        pipe.write(json.dumps(facts) + "\n")


def obey(board: Board) -> None:
    with (HERE / "order").open(encoding="utf-8") as pipe:
        order = pipe.readline().strip()
    if order == "thread":
        threading.Thread(target=switch_on_for_ever, args=(board,), daemon=True).start()
    if order == "keep":
        atexit.register(switch_on, board)
    if order == "exit":
        os._exit(3)
    if order == "segfault":
        faulthandler.disable()
        ctypes.string_at(0)


def switch_on_for_ever(board: Board) -> None:
    while True:
        switch_on(board)
        time.sleep(EVERY_S)


def switch_on(board: Board) -> None:
    with suppress(HilError):
        board.power.force_on()
        board.storage.dut()
