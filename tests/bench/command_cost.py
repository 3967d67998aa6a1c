"""What a command costs from Enter to prompt, against the import of its libraries.

`hil power read` leases and reads a simulated board, without a lab file and with one of three places. Commands
and imports take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hil.sim.process import SimulatorProcess
from tests.bench.ratios import Ratio, interleaved, rows
from tests.support.harness import show, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = (sys.executable, "-c", "import usb.core, click")
HIL = (sys.executable, "-c", "from hil.cli.main import main; main()")
COMMANDS = {("power read", False): 2.0, ("power read", True): 2.3, ("--help", False): 1.4}
"""Each command, and whether there is a lab file; the ratio that is good enough."""

PLACE = """[place.rack-{number}]
serial = "{serial}"
tags = ["jetson", "nvme"]
kind = "orin-nano"
stick = "/dev/disk/by-path/pci-0000:00:14.0-usb-0:{number}:1.0-scsi-0:0:0:0"
console = "/dev/serial/by-id/usb-FTDI_{number}"
baud_rate = 921600
login = {{ user = "root", password = "secret", prompt = "# " }}
up = "Reached target"
up_timeout_s = 90
power_on = "p1,aL,w5,aZ"
watch = ["EXT4-fs error"]
"""


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40, help="how many pairs of processes count")
    options = parser.parse_args()
    with SimulatorProcess(boards=1) as simulator, tempfile.TemporaryDirectory() as folder:
        lab = Path(folder) / "lab.toml"
        serials = [*simulator.serials(), "0df10035", "5a1c0e01"]
        lab.write_text("".join(PLACE.format(number=n, serial=each) for n, each in enumerate(serials)))
        return show(rows(_measure(f"sim@{simulator.management.port}", lab, options.repeats)))


def _measure(boards: str, lab: Path, repeats: int) -> Iterator[Ratio]:
    environ = {**os.environ, "HIL_BOARDS": boards}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the first process writes the byte code, the others load it
    for (command, has_lab), goal in COMMANDS.items():
        env = {**environ, "HIL_LAB": str(lab) if has_lab else "none"}
        name = f"hil {command}, lab file" if has_lab else f"hil {command}"
        bare = partial(timed, LIBRARIES, env=env)
        ours = partial(timed, (*HIL, *command.split()), env=env)
        ours()
        pairs = interleaved(bare, ours, repeats)
        yield Ratio.of(name, [(one.wall_s, two.wall_s) for one, two in pairs], goal)
        yield Ratio.of(f"{name}, CPU", [(one.cpu_s, two.cpu_s) for one, two in pairs], goal)


if __name__ == "__main__":
    sys.exit(main())
