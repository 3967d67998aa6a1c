"""COMMAND of `hil lease` in its cells: it uses every part of the board, and starts a process that goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.cli.board_context import find_host
from hil.dutlink.board import open_driver
from hil.errors import HilError

if TYPE_CHECKING:
    from hil.dutlink.board import Board

EVERY_S = 0.1
HERE = Path(__file__).parent


def main() -> None:
    """Switch the DUT on, start a process of another session that does so for ever, say so, and wait."""
    began = time.monotonic()
    board = opened()
    board.power.force_on()
    board.storage.dut()
    board.pins.low("c")
    board.pins.high("d")
    child = [sys.executable, __file__, "for ever"]
    with subprocess.Popen(child, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with (HERE / "told").open("w", encoding="utf-8") as pipe:
            pipe.write(json.dumps({"pid": os.getpid(), "began": began}) + "\n")
        while True:
            time.sleep(EVERY_S)


def switch_on_for_ever() -> None:
    """Switch the DUT on again and again, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    board = opened()
    print(flush=True)  # noqa: T201 - its parent waits for it
    while True:
        with suppress(HilError):
            board.power.force_on()
            board.storage.dut()
        time.sleep(EVERY_S)


def opened() -> Board:
    """Open the leased board."""
    return open_driver(find_host(os.environ["HIL_BOARDS"]), os.environ["HIL_BOARD"], console=False)


if __name__ == "__main__":
    switch_on_for_ever() if sys.argv[1:] else main()
