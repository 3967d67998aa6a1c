"""How close a run with tests of two boards comes to the shortest possible, on two simulated boards.

20 tests sleep on one board, 4 on two. The bound is the time that the boards are used, divided by their
number. A makespan is the time from the beginning of the first test to the end of the last, so it includes
what it costs to bring the boards together and to let them go: leases, guards, opening, making safe.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.harness import show, timed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.harness import Row

ROOT = Path(__file__).parents[2]
SINGLES, DOUBLES = 20, 4
GOAL = 1.15
CONFTEST = Path(__file__).with_name("two_boards_conftest.py")


def main() -> int:
    """Measure and print each way of a run; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="what each test sleeps")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 3, 4])
    options = parser.parse_args()
    bound_s = (SINGLES + 2 * DOUBLES) * options.seconds / 2
    return show(_rows(options.seconds, options.workers, bound_s))


def _rows(seconds: float, numbers: Sequence[int], bound_s: float) -> Iterator[Row]:
    for workers in numbers:
        makespan_s = _measure(seconds, workers)
        ratio = makespan_s / bound_s
        what = f"{SINGLES} tests with one board, {DOUBLES} with two, -n {workers}: {makespan_s:.2f} s"
        yield f"{what}, bound {bound_s:.2f} s, {ratio:.3f}x, goal {GOAL:.2f}x:", ratio <= GOAL


def _measure(seconds: float, workers: int) -> float:
    """Return the makespan of one run, in seconds.

    Raises:
        subprocess.CalledProcessError: The run failed, so its time means nothing.
    """
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as name:
        folder = Path(name)
        shutil.copy(CONFTEST, folder / "conftest.py")
        source = ["import time, pytest\n"]
        for index in range(SINGLES + DOUBLES):
            source.append("@pytest.mark.hardware(boards=2)" if index >= SINGLES else "")
            source.append(
                f"def test_{index}(dutlinks):\n"
                "    for board in dutlinks.values():\n        board.power.read()\n"
                f"    time.sleep({seconds})\n"
            )
        folder.joinpath("test_all.py").write_text("\n".join(source), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-qq", "-n", str(workers), "--hil-boards=sim:2,speed=5"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HIL_LOCK_DIR": str(folder)}
        timed(command, folder, environment)
        spans = [line.split() for line in folder.joinpath("times").read_text(encoding="utf-8").splitlines()]
    return max(float(end) for _, end in spans) - min(float(begin) for begin, _ in spans)


if __name__ == "__main__":
    sys.exit(main())
