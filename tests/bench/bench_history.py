"""What a million attempts with a number each cost: `hil history` and `hil history numbers` against a goal.

Two shapes: all of them in the newest runs (60 nights of 16,667 tests), and a long history (5,000 of 200).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hil.evidence.measurement import Measurement
from hil.evidence.records import RecordedTest, RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from tests.support.harness import show, timed
from tests.support.made_up import tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.harness import Row

GOAL_S = 1.0
REPEATS = 5
SHAPES = {"all of them in 60 nights": (60, 16_667), "in 5,000 nights": (5_000, 200)}
DAY_S = 86_400.0
BOARDS = [UsedBoard(f"0df1003{number}", "0.09", f"place-{number}") for number in range(4)]


def night(tests: int, rng: random.Random) -> Iterator[RecordedTest]:
    """One test in 100 skips, one run in 500 fails."""
    for number in range(tests):
        outcome = AttemptOutcome.SKIPPED if number % 100 == 0 else AttemptOutcome(rng.random() < 0.002)
        name = f"tests/test_{number // 40}.py::test_{number}"
        numbers = (Measurement("boot", rng.gauss(12.0, 0.2), "s", below=20.0),)
        yield tried(name, outcome, board=rng.choice(BOARDS), call_s=rng.gauss(2.0, 0.1), numbers=numbers)


def fill(path: Path, nights: int, tests: int) -> None:
    """Make a history."""
    rng = random.Random(1)  # noqa: S311 - the same history each time
    with History(path) as history:
        for number in range(nights):
            run = RunRecord(f"n{number}", number * DAY_S, kind="nightly", expected_boards=4)
            history.begin_run(run)
            history.add(run.key, night(tests, rng))
            history.close_run(run.key, number * DAY_S + 1, 1)


def measure(folder: Path, part: int) -> Iterator[Row]:
    """Ask each history a few times, in each way."""
    for at, (name, (nights, tests)) in enumerate(SHAPES.items()):
        path = folder / f"{at}.db"
        fill(path, nights, max(2, tests // part))
        size = path.stat().st_size / 2**20
        for words in ((), ("numbers",), ("numbers", "test_0.py::test_1")):
            command = [sys.executable, "-m", "hil.cli.main", "history", "--history", str(path), *words]
            took = [timed(command) for _ in range(REPEATS)]
            wall_s = statistics.median(cost.wall_s for cost in took)
            cpu_s = statistics.median(cost.cpu_s for cost in took)
            yield (
                (
                    f"1,000,000 attempts and numbers {name} ({size:.0f} MiB): "
                    f"{' '.join(('hil history', *words))} takes {wall_s:.2f} s (processor {cpu_s:.2f} s), "
                    f"goal {GOAL_S:.0f} s:"
                ),
                wall_s < GOAL_S,
            )


def main() -> int:
    """Measure; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", type=int, default=1, help="a history smaller by so much, to try it out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return show(measure(Path(folder), options.part))


if __name__ == "__main__":
    sys.exit(main())
