"""The analysis of nights in which each test runs on each board, and has an id for each."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.analysis import Analysis, analyze
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from tests.support.made_up import tried

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY_S = 86_400.0
START_S = 1_756_688_400.0
PLACES = {f"jetson-{number}": f"0df1003{number}" for number in (1, 2, 3, 4)}


def analysis_of(
    path: Path, nights: int, fails: Callable[[int, str], bool], *, tests: int = 20, named: bool = True
) -> Analysis:
    """The analysis of nights of 20 tests on four boards, each of which fails where `fails` says."""
    with History(path / "history.db") as history:
        for night in range(nights):
            run = RunRecord(
                f"night-{night}", START_S + night * DAY_S, kind="nightly", ended_s=START_S, expected_boards=4
            )
            history.begin_run(run)
            history.add(
                run.key,
                [
                    tried(
                        f"tests/test_dut.py::test_{test:02}[{place if named else serial}-fast]",
                        AttemptOutcome.FAILED if fails(test, place) else AttemptOutcome.PASSED,
                        board=UsedBoard(serial, "0.09", place if named else "stored name"),
                        column=place if named else serial,
                    )
                    for test in range(tests)
                    for place, serial in PLACES.items()
                ],
            )
        return analyze(Window(history, 60), now_s=START_S + nights * DAY_S)


@pytest.mark.parametrize("named", [True, False])
def test_analysis_names_a_test_that_fails_on_all_boards_in_the_first_night(
    tmp_path: Path, named: bool
) -> None:
    found = analysis_of(tmp_path, 1, lambda test, _: test == 5, named=named)

    assert {str(one.suspicion).partition(",")[0] for one in found.failing} == {
        "fails wherever it runs: 4 of 4"
    }
    assert (len(found.failing), found.boards) == (4, [])


def test_analysis_names_a_board_that_fails_many_tests_in_the_first_night(tmp_path: Path) -> None:
    found = analysis_of(tmp_path, 1, lambda test, place: place == "jetson-3" and test < 12)

    assert [one.value for one in found.boards] == [PLACES["jetson-3"]]
    assert (len(found.there), found.failing) == (12, [])


def test_analysis_says_that_a_test_fails_on_one_board_only(tmp_path: Path) -> None:
    found = analysis_of(tmp_path, 6, lambda test, place: (test, place) == (5, "jetson-3"))

    (failing,) = found.failing
    assert failing.suspicion is not None
    assert (failing.suspicion.factor, failing.suspicion.value) == ("board", PLACES["jetson-3"])
    assert (failing.suspicion.elsewhere.failed, failing.suspicion.elsewhere.ran) == (0, 18)


def test_analysis_does_not_blame_another_board_for_a_failure(tmp_path: Path) -> None:
    nights = iter(range(6 * 20 * 4))

    def fails(test: int, place: str) -> bool:
        night = next(nights) // 80
        return test == 5 and (place == "jetson-3" or (place == "jetson-1" and night == 5))

    (new,) = [one for one in analysis_of(tmp_path, 6, fails).failing if "jetson-1" in one.test]

    assert new.is_new
    assert new.suspicion is None


def test_analysis_of_random_failures_blames_no_board_and_no_test(tmp_path: Path) -> None:
    blamed = 0
    for seed in range(100):
        rng = random.Random(seed)  # noqa: S311 - the same nights each time
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = analysis_of(folder, 1, lambda _test, _place, rng=rng: rng.random() < 0.05)
        blamed += bool(found.boards or any(one.suspicion for one in found.failing))

    assert blamed <= 1


def test_analysis_shows_a_test_that_fails_everywhere_once(tmp_path: Path) -> None:
    found = analysis_of(tmp_path, 1, lambda *_: True, tests=1)

    (said,) = [line.strip() for line in found.lines() if "test_00" in line]
    why = "fails on all 4 boards: look at the test, or at what it tests"
    assert said == f"tests/test_dut.py::test_00[fast]: fails, new; {why}"
    assert len(found.failing) == 4


def test_analysis_does_not_call_everywhere_what_passes_on_one_board(tmp_path: Path) -> None:
    found = analysis_of(tmp_path, 1, lambda _, place: place != "jetson-4", tests=1)

    assert [one.everywhere for one in found.failing] == [None] * 3
