"""What the proof of the disk costs: how often the stick comes for a flash, on a mux that takes 3.5 s.

The first flash of a board on a host learns the stick's socket, the later ones know it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_board
from hil.dutlink.usb.protocol import Request, StorageAction
from hil.lab.stick_sockets import StickSockets
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from hil.dutlink.host import Host

MIB = 1 << 20
GOALS = {"first flash": 3, "second flash": 2, "third flash": 2, "looking, first time": 2, "looking, later": 1}
"""Comings of the stick: written, read back; and one to learn the socket."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one use of the stick took."""

    comings: int
    seconds: float


def main() -> None:
    """Measure and print the table."""
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
            for what, goal in GOALS.items():
                serial = flashing if what.endswith("flash") else looking
                cost = _cost(simulator, host, serial, image if what.endswith("flash") else None)
                verdict = "holds" if cost.comings <= goal else "MISSED"
                measured = f"{cost.comings} comings, {cost.seconds:5.1f} s"
                print(f"{what + ':':<21} {measured}  goal {goal} {verdict}")  # noqa: T201 - the point


def _cost(simulator: SimulatorProcess, host: Host, serial: str, image: Path | None) -> Cost:
    """Flash an image by a process that has just begun, or look for the stick."""
    _, since = simulator.management.log(serial)
    began = time.monotonic()
    with open_board(host, serial, console=False) as board:
        if image is not None:
            board.storage.flash(image, force=True)
        else:
            board.storage.wait_for_node()
            board.storage.off()
    seconds = time.monotonic() - began
    requests, _ = simulator.management.log(serial, since)
    turns = [one["wValue"] for one in requests if one["bRequest"] == Request.STORAGE]
    return Cost(turns.count(StorageAction.HOST), seconds)


if __name__ == "__main__":
    main()
