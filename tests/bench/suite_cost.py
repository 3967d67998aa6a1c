"""What conftest.py costs: 5,000 trivial tests that use no board, with it and without; and a matrix of tests.

The matrix has 5,000 tests, a quarter of them for each of four boards (`--hil-each board`); pytest alone
parametrizes the same functions by four names. No board is there, so only collection is compared.

Each run is a pytest process of its own; runs with and without take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.bench.ratios import Ratio, interleaved, rows
from tests.support.harness import Cost, show, timed

CONFTEST = Path(__file__).parents[2] / "conftest.py"
BARE_MATRIX = Path(__file__).with_name("matrix_conftest.py")
TESTS_PER_FILE = 100
RUN_GOAL = 1.03
START_GOAL = 1.15
BOARDS = 4
LAB = "".join(f'[place.rack-{number}]\nserial = "5a1c0e0{number}"\n' for number in range(1, BOARDS + 1))


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
        matrices = Path(folder, "bare matrix"), Path(folder, "matrix")
        for suite in matrices:
            _write_tests(suite, options.tests // BOARDS, "dutlink")
        shutil.copy(BARE_MATRIX, matrices[0] / "conftest.py")
        matrices[1].joinpath("conftest.py").write_text("pytest_plugins = ['hil.plugin']\n", encoding="utf-8")
        matrices[1].joinpath("lab.toml").write_text(LAB, encoding="utf-8")
        ratios = _measure(bare, ours, options.tests, options.repeats)
        return show(rows([*ratios, *_measure_matrix(*matrices, options.tests, options.repeats)]))


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


def _measure_matrix(bare: Path, ours: Path, tests: int, repeats: int) -> list[Ratio]:
    each = ("--collect-only", "--hil-each=board", "--hil-lab=lab.toml")
    pairs = interleaved(partial(_run, bare, "--collect-only"), partial(_run, ours, *each), repeats)
    name = f"{tests} tests by boards: start and collection"
    return [
        Ratio.of(name, [(without.wall_s, with_it.wall_s) for without, with_it in pairs], START_GOAL),
        Ratio.of(f"{name}, CPU", [(without.cpu_s, with_it.cpu_s) for without, with_it in pairs], START_GOAL),
    ]


def _write_tests(folder: Path, count: int, fixture: str = "") -> None:
    folder.mkdir()
    folder.joinpath("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for first in range(0, count, TESTS_PER_FILE):
        numbers = range(first, min(first + TESTS_PER_FILE, count))
        source = "".join(f"def test_{number}({fixture}):\n    pass\n\n\n" for number in numbers)
        folder.joinpath(f"test_from_{first}.py").write_text(source, encoding="utf-8")


def _run(folder: Path, *arguments: str) -> Cost:
    """Run pytest once in `folder`; raises CalledProcessError."""
    options = ("-qq", "-p", "no:cacheprovider", "-p", "no:asyncio")
    environ = dict(os.environ)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the first run writes the byte code, the others load it
    return timed([sys.executable, "-m", "pytest", *options, *arguments], folder, environ)


if __name__ == "__main__":
    sys.exit(main())
