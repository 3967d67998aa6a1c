"""What conftest.py costs tests that use no board: 5,000 trivial ones, with it and without.

Each run is a pytest process of its own; runs with and without take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ratios import Ratio, interleaved, table

CONFTEST = Path(__file__).parents[2] / "conftest.py"
TESTS_PER_FILE = 100
RUN_GOAL = 1.03
START_GOAL = 1.15


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=5000, help="how many trivial tests")
    parser.add_argument("--repeats", type=int, default=5, help="how many pairs of runs count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        bare, ours = Path(folder, "bare"), Path(folder, "ours")
        for suite in (bare, ours):
            _write_tests(suite, options.tests)
        shutil.copy(CONFTEST, ours)
        print(table(_measure(bare, ours, options.tests, options.repeats)))  # noqa: T201  # the table is the point


def _measure(bare: Path, ours: Path, tests: int, repeats: int) -> list[Ratio]:
    run = interleaved(lambda: _seconds(bare), lambda: _seconds(ours), repeats)
    start = interleaved(
        lambda: _seconds(bare, "--collect-only"), lambda: _seconds(ours, "--collect-only"), repeats
    )
    return [
        Ratio(f"{tests} trivial tests: whole run", *run, RUN_GOAL),
        Ratio(f"{tests} trivial tests: start and collection", *start, START_GOAL),
    ]


def _write_tests(folder: Path, count: int) -> None:
    folder.mkdir()
    folder.joinpath("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for first in range(0, count, TESTS_PER_FILE):
        numbers = range(first, min(first + TESTS_PER_FILE, count))
        source = "".join(f"def test_{number}():\n    pass\n\n\n" for number in numbers)
        folder.joinpath(f"test_from_{first}.py").write_text(source, encoding="utf-8")


def _seconds(folder: Path, *arguments: str) -> float:
    """Run pytest once in `folder`; seconds from start to end.

    Raises:
        subprocess.CalledProcessError: The run failed, so its time means nothing.
    """
    command = [sys.executable, "-m", "pytest", "-qq", "-p", "no:cacheprovider", *arguments]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
