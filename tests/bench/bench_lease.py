"""What waiting for a board costs: release to hold and the order of arrival, against filelock in one run.

Processes take turns on one board. Each notes when it asked, when it held and when it let go (the machine's
monotonic clock, the same for all of them), and what follows is arithmetic.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.harness import say, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.harness import Row

MEDIAN_GOAL_MS = 5.0
SERIAL = "5a1c0e01"
GRACE_S = 0.001  # between noting the time and standing in line, on a busy machine


@dataclass(frozen=True, slots=True)
class Turn:
    """One process's turn; times in seconds of the monotonic clock."""

    process: int
    asked: float
    held: float
    let_go: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one kind of lock did.

    Attributes:
        name: Which one.
        hand_overs_ms: From a release to the next acquire, where a process waited already, sorted.
        overtaken: How many turns a process had that came later than one that still waited.
        turns: How many turns each process had while all still wanted one, sorted.
        longest_wait_s: From asking to holding.
    """

    name: str
    hand_overs_ms: list[float]
    overtaken: int
    turns: list[int]
    longest_wait_s: float

    @classmethod
    def of(cls, name: str, turns: list[Turn]) -> Outcome:
        """Do the arithmetic."""
        turns = sorted(turns, key=lambda turn: turn.held)
        pairs = list(pairwise(turns))
        waited = [
            (later.held - earlier.let_go) * 1e3 for earlier, later in pairs if later.asked < earlier.let_go
        ]
        contended_until = min(
            max(turn.held for turn in turns if turn.process == one) for one in _processes(turns)
        )
        counts = Counter(dict.fromkeys(_processes(turns), 0))
        counts.update(turn.process for turn in turns if turn.held <= contended_until)
        return cls(name, sorted(waited), _overtaken(turns), sorted(counts.values()), _longest_wait_s(turns))

    def line(self) -> str:
        """One row of the table."""
        median, p95 = statistics.median(self.hand_overs_ms), _percentile(self.hand_overs_ms, 95)
        return (
            f"{self.name:<10} {median:>8.2f} {p95:>8.2f} {self.hand_overs_ms[-1]:>8.2f} {self.overtaken:>10}"
            f" {self.longest_wait_s:>9.2f}  {'/'.join(map(str, self.turns))}"
        )


def take_turns(kind: str, folder: Path, process: int, turns: int, hold_s: float) -> None:
    """Be one of the processes; print a line for each turn."""
    if kind == "filelock":
        from filelock import FileLock  # noqa: PLC0415 - only what is measured is imported

        held = lambda: FileLock(folder / "board.lock")  # noqa: E731
    else:
        from hil.lab.locks.acquire import acquire  # noqa: PLC0415

        held = lambda: acquire(SERIAL, wait_s=600, folder=folder)  # noqa: E731
    held().__enter__().__exit__(None, None, None)
    log = []
    say("ready")
    sys.stdin.readline()
    for _ in range(turns):
        asked = time.monotonic()
        with held():
            began = time.monotonic()
            time.sleep(hold_s)
            ended = time.monotonic()
        log.append((process, asked, began, ended))
    say(json.dumps(log))


def measure(kind: str, processes: int, turns: int, hold_s: float) -> Outcome:
    """Let `processes` take `turns` turns each."""
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        workers = [_worker(kind, folder, number, turns, hold_s) for number in range(processes)]
        for worker in workers:
            _read(worker)
        for worker in workers:
            _tell(worker)
        logs = [json.loads(_read(worker)) for worker in workers]
        for worker in workers:
            worker.communicate()
    return Outcome.of(kind, [Turn(*entry) for log in logs for entry in log])


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--turns", type=int, default=250, help="of each process")
    parser.add_argument("--hold", type=float, default=0.005, help="seconds of one turn")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, folder, number = options.worker
        take_turns(kind, Path(folder), int(number), options.turns, options.hold)
        return 0
    outcomes = [measure(kind, options.processes, options.turns, options.hold) for kind in ("hil", "filelock")]
    return show(_table(outcomes))


def _table(outcomes: list[Outcome]) -> Iterator[Row]:
    yield f"release to hold in ms (goal: hil's median <= {MEDIAN_GOAL_MS:g}); goal of overtaken: 0", None
    heads = f"{'median':>8} {'p95':>8} {'most':>8} {'overtaken':>10} {'longest s':>9}"
    yield f"{'lock':<10} {heads}  turns while all still wanted one", None
    for outcome in outcomes:
        yield outcome.line(), None
    ours = outcomes[0]
    holds = statistics.median(ours.hand_overs_ms) <= MEDIAN_GOAL_MS and not ours.overtaken
    yield "hil:", holds


def _processes(turns: list[Turn]) -> set[int]:
    return {turn.process for turn in turns}


def _overtaken(turns: list[Turn]) -> int:
    return sum(
        any(other.asked < turn.asked - GRACE_S for other in turns[index + 1 :])
        for index, turn in enumerate(turns)
    )


def _longest_wait_s(turns: list[Turn]) -> float:
    return max(turn.held - turn.asked for turn in turns)


def _percentile(values: list[float], percent: int) -> float:
    return values[min(len(values) - 1, len(values) * percent // 100)]


def _worker(kind: str, folder: str, number: int, turns: int, hold_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--worker", kind, folder, str(number)]
    counts = ["--turns", str(turns), "--hold", str(hold_s)]
    return subprocess.Popen([*command, *counts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _read(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline()


def _tell(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()


if __name__ == "__main__":
    sys.exit(main())
