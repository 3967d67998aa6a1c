"""What `hil report` costs: the pages of the last 60 nights of a history of 1,000,000 attempts."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from hil.evidence.records import RecordedTest, RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from tests.support.harness import show, timed
from tests.support.made_up import tried

GOAL_S = 10.0
TESTS = 5_000
DAY_S = 86_400.0
BEGAN_S = 1_800_000_000.0
BOARDS = [UsedBoard(f"0df1{number:04x}", "0.09") for number in range(8)]


def main() -> int:
    """Measure and print a line; return 1 if the goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        history, out = Path(folder, "history.db"), Path(folder, "out")
        fill(history, options.attempts // TESTS)
        command = [sys.executable, "-m", "hil.cli.main", "report", str(out), "--history", str(history)]
        took_s = min(timed(command).wall_s for _ in range(options.repeats))
        size_mb = (out / "index.html").stat().st_size / 1e6
        nights = f"newest 60 of {options.attempts // TESTS} nights x {TESTS:,} tests"
        page = f"first page {size_mb:.1f} MB"
        return show(
            [(f"hil report, {nights}: {took_s:.1f} s, {page}, goal {GOAL_S:.0f} s", took_s <= GOAL_S)]
        )


def fill(path: Path, nights: int) -> None:
    """Make up nights in which a few tests fail or are skipped, here and there."""
    rng = random.Random(5)  # noqa: S311 - the same nights each time
    names = [f"tests/area_{n % 40}/test_part.py::test_the_dut_does_{n}[{n % 7}]" for n in range(TESTS)]
    with History(path) as history:
        for number in range(nights):
            run = RunRecord(f"n{number}", BEGAN_S + number * DAY_S, "lab", "nightly", "c" * 40)
            history.begin_run(run)
            history.add(run.key, [attempt(name, rng) for name in names])
            history.end_run(RunRecord(run.key, run.began_s, ended_s=run.began_s + 60, exit_status=1))


def attempt(name: str, rng: random.Random) -> RecordedTest:
    """Make up one attempt."""
    chance = rng.random()
    outcome = (
        AttemptOutcome.FAILED
        if chance < 0.003
        else AttemptOutcome.SKIPPED
        if chance < 0.005
        else AttemptOutcome.PASSED
    )
    return tried(name, outcome, board=rng.choice(BOARDS), call_s=rng.gauss(2.0, 0.1))


if __name__ == "__main__":
    sys.exit(main())
