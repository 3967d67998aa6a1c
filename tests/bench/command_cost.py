"""What a command costs from Enter to prompt, against the import of its libraries.

`hil power read` leases and reads a simulated board. Commands and imports take turns, so that a busy machine
slows both.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from hil.sim.process import SimulatorProcess
from tests.bench.ratios import Ratio, interleaved, rows
from tests.support.harness import show, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = (sys.executable, "-c", "import usb.core, click")
HIL = (sys.executable, "-c", "from hil.cli.main import main; main()")
COMMANDS = {"power read": 2.0, "--help": 1.4}
"""Each command, and the ratio that is good enough."""


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40, help="how many pairs of processes count")
    options = parser.parse_args()
    with SimulatorProcess(boards=1) as simulator:
        return show(rows(_measure(f"sim@{simulator.management.port}", options.repeats)))


def _measure(boards: str, repeats: int) -> Iterator[Ratio]:
    env = {**os.environ, "HIL_BOARDS": boards}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # the first process writes the byte code, the others load it
    for command, goal in COMMANDS.items():
        bare = partial(timed, LIBRARIES, env=env)
        ours = partial(timed, (*HIL, *command.split()), env=env)
        ours()
        pairs = interleaved(bare, ours, repeats)
        yield Ratio.of(f"hil {command}", [(one.wall_s, two.wall_s) for one, two in pairs], goal)
        yield Ratio.of(f"hil {command}, CPU", [(one.cpu_s, two.cpu_s) for one, two in pairs], goal)


if __name__ == "__main__":
    sys.exit(main())
