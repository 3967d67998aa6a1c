"""How close a run under xdist comes to the shortest possible: ours, `load` and `worksteal`.

The tests sleep, the boards are lock files. Ours gives each worker its board; with `load` and `worksteal` a
session fixture takes a board and keeps it, as practice is. A makespan is the time from the beginning of the
first test to the end of the last, so xdist's own start-up isn't in it. The bound is the larger of hardware
time / boards and all time / workers, by what the tests really took: a busy machine and pytest itself add to
what they sleep. The shortest of some repeats counts, as noise only ever adds.

"each board" is a run with `--hil-each board`: a test is there once for each board, and runs on no other. Then
the bound is also the time of the board that has most to do. `load` and `worksteal` have no such tests.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.harness import say, show, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
CONFTEST = Path(__file__).with_name("makespan_conftest.py")
WORKERS = 4
TESTS = 120
GOAL = 1.10
NOISE = 1.03  # two runs of the same kind differ by that much
EQUAL_S = (0.05,)
SKEWED_S = (0.04, 0.04, 0.04, 0.16)
EACH = "each board"
ORDERS = ("first", "last", "interleaved", "random", EACH)
WAYS = {
    "ours": (),  # no durations are known
    "ours, known": (),  # those of the run before
    "load": ("--dist", "load"),
    "worksteal": ("--dist", "worksteal"),
}
OURS = 2  # of them


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """What one run took, and what its tests took at least."""

    makespan_s: float
    bound_s: float

    @property
    def ratio(self) -> float:
        """How many times the bound it took."""
        return self.makespan_s / self.bound_s


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    boards: int
    order: str
    durations_s: tuple[float, ...]

    def tests(self) -> list[tuple[str | None, float]]:
        """The board of each test (empty: any; None: none), and how long it takes; the same each time."""
        hardware = min(TESTS * self.boards // WORKERS, TESTS * 3 // 4)
        kinds = [index < hardware for index in range(TESTS)]
        if self.order == "last":
            kinds.reverse()
        elif self.order == "interleaved":
            kinds = [i * hardware // TESTS != (i + 1) * hardware // TESTS for i in range(TESTS)]
        elif self.order == "random":
            random.Random(3).shuffle(kinds)  # noqa: S311  # nothing to keep secret
        chosen = random.Random(5)  # noqa: S311  # nothing to keep secret
        seconds = [chosen.choice(self.durations_s) for _ in kinds]
        if self.order != EACH:
            return [("" if kind else None, each_s) for kind, each_s in zip(kinds, seconds, strict=True)]
        on_each, plain = seconds[: hardware // self.boards], seconds[hardware:]
        on_boards = [(f"board{number}", each_s) for number in range(self.boards) for each_s in on_each]
        return [*on_boards, *((None, each_s) for each_s in plain)]

    def bound_s(self) -> float:
        """The shortest time that is possible."""
        return _bound_s(self.tests(), self.boards)

    def __str__(self) -> str:
        return f"{self.boards} {self.order:<12} {'skewed' if len(self.durations_s) > 1 else 'equal':<7}"


def _bound_s(tests: Sequence[tuple[str | None, float]], boards: int) -> float:
    """The shortest time for tests with a board (empty: any; None: none), by the seconds of each."""
    of_board: dict[str, float] = {}
    for board, seconds in tests:
        if board is not None:
            of_board[board] = of_board.get(board, 0.0) + seconds
    named_s = max((seconds for board, seconds in of_board.items() if board), default=0.0)
    return max(named_s, sum(of_board.values()) / boards, sum(seconds for _, seconds in tests) / WORKERS)


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--orders", nargs="+", default=ORDERS, choices=ORDERS)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="equal tests in all orders, too: 9 minutes, not 5")
    options = parser.parse_args()
    say("seconds, and the ratio to the bound: by what the tests took, of the rivals by what they sleep")
    say(f"{'boards, hardware tests':<24}" + "".join(f"{way:<15}" for way in WAYS) + f"goal {GOAL:.2f}x")
    rows = []
    for boards, order, seconds in itertools.product(options.boards, options.orders, (EQUAL_S, SKEWED_S)):
        if not (options.all or order == EACH or seconds == SKEWED_S):
            continue
        case = Case(boards, order, seconds)
        rows.append(_measure(case, options.repeats))
        of_bound = [run.ratio for run in rows[-1][:OURS]]
        of_bound += [
            run.makespan_s / case.bound_s() for run in rows[-1][OURS:]
        ]  # their tests wait for boards
        cells = [
            f"{run.makespan_s:5.2f} {ratio:5.3f}x" for run, ratio in zip(rows[-1], of_bound, strict=True)
        ]
        holds = all(run.ratio <= GOAL for run in rows[-1][:OURS])
        shown = "".join(f"{cell:<15}" for cell in cells + ["-"] * (len(WAYS) - len(cells)))
        say(f"{case!s:<24}{shown}{'holds' if holds else 'MISSED'}")
    ratios = [run.ratio for row in rows for run in row[:OURS]]
    rivals = [row for row in rows if row[OURS:]]
    slower = [row for row in rivals if max(row[:OURS]).makespan_s > NOISE * min(row[OURS:]).makespan_s]
    worst = f"ours by what the tests took: at worst {max(ratios):.3f}x, goal {GOAL:.2f}x:"
    loser = f"slower than load or worksteal in {len(slower)} of {len(rivals)} cases:"
    return show([(worst, max(ratios) <= GOAL), (loser, not slower)])


def _measure(case: Case, repeats: int) -> list[Run]:
    """Measure one case in all ways; `load` and `worksteal` have no tests for each board."""
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as name:
        folder = Path(name)
        _write_tests(folder, case)
        ways = list(WAYS)[:OURS] if case.order == EACH else WAYS
        return [min(_run(folder, case, way) for _ in range(repeats)) for way in ways]


def _write_tests(folder: Path, case: Case) -> None:
    folder.joinpath("pytest.ini").write_text("[pytest]\nmarkers = on\n", encoding="utf-8")
    shutil.copy(CONFTEST, folder / "conftest.py")
    source = ["import pytest, time\n"]
    for index, (board, seconds) in enumerate(case.tests()):
        argument = "" if board is None else "board"
        if board:
            source.append(f"@pytest.mark.on({board!r})")
        source.append(f"def test_{index}({argument}):\n    time.sleep({seconds})\n")
    folder.joinpath("test_all.py").write_text("\n".join(source), encoding="utf-8")


def _run(folder: Path, case: Case, way: str) -> Run:
    """Run the folder's tests once.

    Raises:
        subprocess.CalledProcessError: The run failed, so its time means nothing.
    """
    times = folder / "times"
    times.unlink(missing_ok=True)
    if way == "ours":
        shutil.rmtree(folder / ".pytest_cache", ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-qq", "-p", "xdist", "-n", str(WORKERS), *WAYS[way]]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "BENCH_BOARDS": str(case.boards),
    }
    timed(command, folder, environment)
    spans = [json.loads(line) for line in times.read_text(encoding="utf-8").splitlines()]
    makespan_s = max(end for _, end, _ in spans) - min(begin for begin, _, _ in spans)
    return Run(makespan_s, _bound_s([(board, end - begin) for begin, end, board in spans], case.boards))


if __name__ == "__main__":
    sys.exit(main())
