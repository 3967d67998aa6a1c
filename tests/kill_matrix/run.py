"""The kill matrix: a run dies in every way there is, and its boards are looked at. Prints a table.

Runs are real processes and signals are real; boards are simulated, one or two for each lane of cells: in half
of the cells the test that dies holds two boards.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import HilError
from hil.sim.process import SimulatorProcess
from tests.kill_matrix.inner_run import Way, can_be_started
from tests.kill_matrix.kill_causes import CAUSES, Cause
from tests.kill_matrix.kill_cell import REMEDIES, Outcome, play, play_last_resort, play_without_guard, prepare
from tests.kill_matrix.kill_table import table, with_table
from tests.support.harness import play_all, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PAGE = Path(__file__).parents[2] / "docs" / "kill-matrix.md"
Cell = tuple[str, "Callable[[SimulatorProcess, Path], Outcome]"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the cells, print the table; 1 if one of them is not as it should be."""
    options = _parser().parse_args(arguments)
    # A shell without job control starts its background jobs deaf to Ctrl-C, and runs would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    outcomes = []
    for boards in options.boards:
        cells = [cell for cell in _cells(boards) if options.only in cell[0]]
        outcomes += _play_all(cells, options.lanes, boards)
    say(table(outcomes))
    say(f"\n{len(outcomes)} cells in {time.monotonic() - began:.0f} s")
    if options.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table(outcomes)), encoding="utf-8")
    return int(any(outcome.problems for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORDS", help="cells whose name has them")
    parser.add_argument(
        "--lanes", type=int, default=4, help="how many cells at a time (default: %(default)s)"
    )
    parser.add_argument("--boards", type=int, nargs="+", default=[1, 2], help="how many boards a test holds")
    parser.add_argument("--write", action="store_true", help="keep the table in docs/kill-matrix.md")
    return parser


def _cells(boards: int) -> Iterator[Cell]:
    for cause in CAUSES:
        for way in filter(can_be_started, cause.ways):
            if boards > 1 and way in {Way.LEASE, Way.PROGRAM}:
                continue  # these hold one board
            yield f"{cause.name}, {way.value}", _ordinary(cause, way)
    yield "none; no guard can start", play_without_guard
    for remedy in REMEDIES:
        yield f"SIGKILL to guard and holder at once, {remedy}", _last_resort(remedy, Way.PLAIN)
        if can_be_started(Way.SHELL):
            yield f"`os._exit` in a test, {Way.SHELL.value}, {remedy}", _last_resort(remedy, Way.SHELL)


def _ordinary(cause: Cause, way: Way) -> Callable[[SimulatorProcess, Path], Outcome]:
    return lambda simulator, folder: play(cause, way, simulator, folder)


def _last_resort(remedy: str, way: Way) -> Callable[[SimulatorProcess, Path], Outcome]:
    return lambda simulator, folder: play_last_resort(remedy, simulator, folder, way=way)


def _play_all(cells: list[Cell], lanes: int, boards: int) -> list[Outcome]:
    with ExitStack() as stack:
        simulators = [stack.enter_context(SimulatorProcess(boards)) for _ in range(lanes)]
        for simulator in simulators:
            prepare(simulator)
        return play_all(_play, simulators, cells)


def _play(simulator: SimulatorProcess, cell: Cell) -> Outcome:
    name, act = cell
    try:
        with tempfile.TemporaryDirectory(prefix="hil-kill-") as folder:
            outcome = act(simulator, Path(folder))
    except (HilError, TimeoutError) as error:
        outcome = Outcome.unplayed(name, error)
    sys.stderr.write(f"{name}: {'; '.join(outcome.problems) or 'safe'}\n")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
