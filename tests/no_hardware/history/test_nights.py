"""Nights that are missing, and nights that went wrong as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.history.facts import Attempt, Bench, Outcome, RunFacts
from hil.history.nights import missing_nights, wrong_with_newest
from hil.history.store import History
from hil.history.window import Window

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400.0
START_S = 1_756_688_400.0  # 2025-09-01
ON_A_BOARD = Attempt("t.py::t", Outcome.PASSED, bench=Bench("0df10035", "0.09"))
NOT_STARTED = "pytest did not start: a wrong option, conftest.py or lab file"


def nights(*numbers: float, host: str = "", kind: str = "nightly") -> list[RunFacts]:
    return [RunFacts(f"{host}{n}", START_S + n * DAY_S, host, kind) for n in numbers]


def test_nights_that_are_missing_are_named() -> None:
    assert missing_nights(nights(0, 1, 2, 5, 6), now_s=0) == ["2025-09-04: no run", "2025-09-05: no run"]


def test_nights_that_ran_are_not() -> None:
    assert missing_nights(nights(0, 1.01, 2, 2.99, 4), now_s=0) == []


@pytest.mark.parametrize(("days_later", "said"), [(1.2, 0), (1.7, 1), (3.1, 2), (400, 0)])
def test_a_night_that_is_late_by_now_is_missing_until_nobody_waits_any_more(
    days_later: float, said: int
) -> None:
    runs = nights(0, 1, 2, 3)

    assert len(missing_nights(runs, now_s=runs[-1].began_s + days_later * DAY_S)) == said


def test_runs_by_hand_are_no_nights() -> None:
    runs = sorted(nights(0, 1, 3, 4, 5) + nights(2, 2.1, kind=""), key=lambda run: run.began_s)

    assert missing_nights(runs, now_s=0) == ["2025-09-03: no run"]


def test_each_host_has_nights_of_its_own() -> None:
    runs = sorted(nights(0, 1, 2, 3, 4, host="a") + nights(0, 1, 2, 4, host="b"), key=lambda run: run.began_s)

    assert missing_nights(runs, now_s=0) == ["2025-09-04: no run on b"]


def test_several_runs_of_a_night_are_one_night() -> None:
    runs = nights(0, 0.01, 0.02, 1, 1.01, 2, 2.01, 4, 4.01, 5)

    assert missing_nights(runs, now_s=0) == ["2025-09-04: no run"]


@pytest.mark.parametrize(
    ("run", "attempts", "said"),
    [
        (RunFacts("k", START_S), [ON_A_BOARD], ["the newest run was cut short, or goes on"]),
        (
            RunFacts("k", START_S, boards=2, ended_s=1, exit_status=0),
            [ON_A_BOARD],
            ["1 of 2 boards were used"],
        ),
        (
            RunFacts("k", START_S, ended_s=1, exit_status=4),
            [],
            [
                "the newest run tested nothing",
                f"the newest run ended with status 4, {NOT_STARTED}",
            ],
        ),
        (
            RunFacts("k", START_S, ended_s=1, exit_status=137),
            [ON_A_BOARD],
            ["the newest run ended with status 137, killed by signal 9"],
        ),
        (RunFacts("k", START_S, boards=1, ended_s=1, exit_status=1), [ON_A_BOARD], []),
    ],
    ids=["cut short", "one board", "no pytest", "killed", "fine"],
)
def test_a_run_that_went_wrong_as_a_whole_says_how(
    run: RunFacts, attempts: list[Attempt], said: list[str], tmp_path: Path
) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(run)
        history.add("k", attempts)

        assert wrong_with_newest(Window(history)) == [f"2025-09-01: {one}" for one in said]
