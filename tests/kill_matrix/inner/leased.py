"""COMMAND of `hil lease` in its cells: it uses every part of the board, and starts a process that goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from hil.cli.using_board import host_of
from hil.dutlink.board import open_board
from hil.errors import HilError

EVERY_S = 0.1
HERE = Path(__file__).parent


def main() -> None:
    """Switch the DUT on, start a process of another session that does so for ever, say so, and wait."""
    began = time.monotonic()
    board = open_board(host_of(os.environ["HIL_BOARDS"]), os.environ["HIL_BOARD"], console=False)
    if not os.fork():
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        board = open_board(host_of(os.environ["HIL_BOARDS"]), os.environ["HIL_BOARD"], console=False)
        while True:
            with suppress(HilError):
                board.power.force_on()
                board.storage.dut()
            time.sleep(EVERY_S)
    board.power.force_on()
    board.storage.dut()
    board.pins.low("c")
    board.pins.high("d")
    with (HERE / "told").open("w", encoding="utf-8") as pipe:
        pipe.write(json.dumps({"pid": os.getpid(), "began": began}) + "\n")
    while True:
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
