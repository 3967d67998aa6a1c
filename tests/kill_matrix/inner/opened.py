"""A program that opens a board by `hil.open_board`, uses every part of it, and waits for its end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import hil

EVERY_S = 0.1
HERE = Path(__file__).parent


def main() -> None:
    """Switch the DUT on, attach the stick, drive two pins, say so, and wait."""
    began = time.monotonic()
    board = hil.open_board(console=False)
    board.power.force_on()
    board.storage.dut()
    board.pins.low("c")
    board.pins.high("d")
    time.sleep(2 * EVERY_S)  # the watch of the supply looks twenty times a second
    with (HERE / "told").open("w", encoding="utf-8") as pipe:
        pipe.write(json.dumps({"pid": os.getpid(), "began": began}) + "\n")
    while True:
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
