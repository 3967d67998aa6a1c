"""The analysis of random quarters names each planted finding and nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hil.evidence.measurement import Measurement
from hil.evidence.records import RecordedTest, RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.analysis import Analysis, analyze
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from tests.support.made_up import tried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400.0
START_S = 1_756_688_400.0
NIGHTS, TESTS, SKIPS_SINCE = 90, 60, 30
BOARDS = [f"0df1003{number}" for number in range(4)]


@dataclass(frozen=True)
class Truths:
    """What is planted."""

    bad_board: str
    bad_rate: float
    drifting: int
    drift: float
    skipping: int
    failing: int
    since: int
    flaky: int
    flaky_rate: float
    missed: tuple[int, ...]

    @classmethod
    def planted_by(cls, rng: random.Random) -> Truths:
        drifting, skipping, failing, flaky = rng.sample(range(TESTS), 4)
        return cls(
            bad_board=rng.choice(BOARDS),
            bad_rate=rng.choice([0.1, 0.2, 0.5]),
            drifting=drifting,
            drift=rng.choice([0.002, 0.004, 0.006]),
            skipping=skipping,
            failing=failing,
            since=rng.choice([50, 70, 80, 86]),
            flaky=flaky,
            flaky_rate=rng.choice([0.08, 0.15, 0.3]),
            missed=(rng.randrange(3, 40), rng.randrange(45, 87)),
        )

    @property
    def measuring(self) -> list[int]:
        """Tests that measure a number: the first one's drifts on a board, the second one's steps."""
        special = {self.drifting, self.skipping, self.failing, self.flaky}
        return [test for test in range(TESTS) if test not in special][:10]

    def number(self, test: int, board: str, night: int) -> Measurement:
        """Return what a test measures in a night, the same each time."""
        rng = random.Random(f"{self} {test} {board} {night}")  # noqa: S311 - the same quarter each time
        value = 12 + BOARDS.index(board) / 10 + rng.gauss(0, 0.1)
        value += 0.03 * night * (test == self.measuring[0] and board == self.bad_board)
        value += 0.8 * (test == self.measuring[1] and night >= self.since)
        return Measurement("boot", value, "s", below=20)

    def fails(self, test: int, board: str, night: int, rng: random.Random) -> bool:
        return (
            (test == self.failing and night >= self.since)
            or (board == self.bad_board and rng.random() < self.bad_rate)
            or (test == self.flaky and rng.random() < self.flaky_rate)
        )


def attempts(truths: Truths, night: int, way: str, rng: random.Random) -> Iterator[RecordedTest]:
    for test in range(TESTS):
        for board in BOARDS if way == "on all boards" else [rng.choice(BOARDS)]:
            column = board if way == "on all boards" else ""
            name = f"t.py::test_{test:02}[{column}]"
            bench = UsedBoard(board, "0.09")
            call_s = rng.gauss(2.0, 0.06) * (1 + truths.drift * night * (test == truths.drifting))
            if test == truths.skipping and night >= SKIPS_SINCE:
                yield tried(name, AttemptOutcome.SKIPPED, board=bench)
                continue
            failed = truths.fails(test, board, night, rng)
            numbers = (truths.number(test, board, night),) if test in truths.measuring else ()
            yield tried(
                name, AttemptOutcome(failed), board=bench, call_s=call_s, numbers=numbers, column=column
            )
            if failed and way != "without repeats":
                again = truths.fails(test, board, night, rng)
                yield tried(name, AttemptOutcome(again), 2, board=bench, call_s=call_s)


def morning_after(path: Path, truths: Truths, way: str, rng: random.Random) -> Analysis:
    with History(path) as history:
        for night in set(range(NIGHTS)) - set(truths.missed):
            began_s = START_S + night * DAY_S + rng.uniform(0, 600)
            commit = "after" if night >= truths.since else "before"
            run = RunRecord(f"n{night}", began_s, kind="nightly", commit=commit, expected_boards=4)
            history.begin_run(run)
            history.add(run.key, attempts(truths, night, way, rng))
            history.close_run(run.key, began_s + 600, 1)
        return analyze(Window(history, 100), START_S + (NIGHTS - 0.7) * DAY_S)


def numbers(names: list[str]) -> set[int]:
    return {int(name.partition("test_")[2][:2]) for name in names}


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["on one board", "without repeats", "on all boards"])
@pytest.mark.parametrize("seed", range(4))
def test_analysis_names_every_planted_finding_and_nothing_else(tmp_path: Path, seed: int, way: str) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same quarter each time
    truths = Truths.planted_by(rng)

    morning = morning_after(tmp_path / "h.db", truths, way, rng)

    assert [one.value for one in morning.boards] == [truths.bad_board]
    assert numbers([one.test for one in morning.failing]) == {truths.failing}
    assert numbers([one.test for one in morning.flaky]) == {truths.flaky}
    assert numbers([one.test for one in morning.slower]) == {truths.drifting}
    assert numbers([one.test for one in morning.skipping]) == {truths.skipping}
    steps = [(truths.measuring[1], "", truths.since)] if truths.since <= 80 else []
    drifted = [
        (one.test, one.factor, round((one.since_s - START_S) / DAY_S))
        for one in morning.drifted
        if one.is_step
    ]
    assert [(numbers([test]), *rest) for test, *rest in drifted] == [({test}, *rest) for test, *rest in steps]
    drifts = [one for one in morning.drifted if not one.is_step]
    assert numbers([one.test for one in drifts]) == {truths.measuring[0]}
    assert [(one.factor, one.value) for one in drifts] == [("board", truths.bad_board)]
    assert len(morning.nights) == 2
    assert (morning.fixed, morning.tied) == ([], [])
