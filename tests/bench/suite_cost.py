"""What conftest.py costs tests that use no board: 5,000 trivial ones, with it and without.

Each run is a pytest process of its own; runs with and without take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.bench.ratios import Ratio, interleaved, rows
from tests.support.harness import Cost, show, timed

CONFTEST = Path(__file__).parents[2] / "conftest.py"
TESTS_PER_FILE = 100
RUN_GOAL = 1.03
START_GOAL = 1.15


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=5000, help="how many trivial tests")
    parser.add_argument("--repeats", type=int, default=7, help="how many pairs of runs count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        bare, ours = Path(folder, "bare"), Path(folder, "ours")
        for suite in (bare, ours):
            _write_tests(suite, options.tests)
        shutil.copy(CONFTEST, ours)
        return show(rows(_measure(bare, ours, options.tests, options.repeats)))


def _measure(bare: Path, ours: Path, tests: int, repeats: int) -> list[Ratio]:
    ratios = []
    for what, goal, arguments in (
        ("run", RUN_GOAL, ()),
        ("start and collection", START_GOAL, ("--collect-only",)),
    ):
        pairs = interleaved(partial(_run, bare, *arguments), partial(_run, ours, *arguments), repeats)
        name = f"{tests} trivial tests: {what}"
        ratios.append(Ratio.of(name, [(without.wall_s, with_it.wall_s) for without, with_it in pairs], goal))
        ratios.append(
            Ratio.of(f"{name}, CPU", [(without.cpu_s, with_it.cpu_s) for without, with_it in pairs], goal)
        )
    return ratios


def _write_tests(folder: Path, count: int) -> None:
    folder.mkdir()
    folder.joinpath("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for first in range(0, count, TESTS_PER_FILE):
        numbers = range(first, min(first + TESTS_PER_FILE, count))
        source = "".join(f"def test_{number}():\n    pass\n\n\n" for number in numbers)
        folder.joinpath(f"test_from_{first}.py").write_text(source, encoding="utf-8")


def _run(folder: Path, *arguments: str) -> Cost:
    """Run pytest once in `folder`; raises CalledProcessError."""
    options = ("-qq", "-p", "no:cacheprovider", "-p", "no:asyncio")
    return timed([sys.executable, "-m", "pytest", *options, *arguments], folder)


if __name__ == "__main__":
    sys.exit(main())
