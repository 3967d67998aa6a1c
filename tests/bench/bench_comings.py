"""What the proof of the disk costs: how often the stick comes for a flash, on a mux that takes 3.5 s.

The first flash of a board on a host learns the stick's socket, the later ones know it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.dutlink.usb.protocol import Request, StorageAction
from hil.lab.stick_sockets import StickSockets
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess
from tests.support.harness import show

if TYPE_CHECKING:
    from hil.dutlink.host import Host
    from tests.support.harness import Row

MIB = 1 << 20
GOALS = {"first flash": 3, "second flash": 2, "third flash": 2, "looking, first time": 2, "looking, later": 1}
"""Comings of the stick: written, read back; and one to learn the socket."""


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as name:
        folder = Path(name)
        image = folder / "image.img"
        build_image(image, "comings", 4 * MIB)
        with SimulatorProcess(2, speed=options.speed) as simulator:
            flashing, looking = simulator.serials()
            host = replace(
                simulated_host(simulator.ready), stick_memory=lambda serial: StickSockets(serial, folder)
            )
            return show(
                _row(what, goal, _use(simulator, host, flashing, image))
                if what.endswith("flash")
                else _row(what, goal, _use(simulator, host, looking, None))
                for what, goal in GOALS.items()
            )


def _row(what: str, goal: int, use: tuple[int, float]) -> Row:
    comings, seconds = use
    return f"{what + ':':<21} {comings} comings, {seconds:5.1f} s  goal {goal}", comings <= goal


def _use(simulator: SimulatorProcess, host: Host, serial: str, image: Path | None) -> tuple[int, float]:
    """Flash an image, or look for the stick; return how often it came, and the seconds."""
    _, since = simulator.management.log(serial)
    began = time.monotonic()
    with open_driver(host, serial, console=False) as board:
        if image is not None:
            board.storage.flash(image, force=True)
        else:
            board.storage.wait_for_node()
            board.storage.off()
    seconds = time.monotonic() - began
    requests, _ = simulator.management.log(serial, since)
    turns = [one["wValue"] for one in requests if one["bRequest"] == Request.STORAGE]
    return turns.count(StorageAction.HOST), seconds


if __name__ == "__main__":
    sys.exit(main())
