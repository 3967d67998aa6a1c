"""The analysis of a made-up quarter names each planted finding and nothing else."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RecordedTest, RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.analysis import Analysis, analyze
from hil.history.findings import Flaky
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.suspects import Counts
from hil.history.window import Window
from hil.report.night_pages import build_nights
from tests.support.made_up import tried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86400.0
START_S = 1_756_688_400.0
NIGHTS = 90
MISSED = (40, 71)
BOARDS = ("0df10035", "0df10036", "0df10037", "0df10038")
BAD_BOARD = BOARDS[2]
REGRESSION_NIGHT = 80
SKIPS_SINCE = 30


def night(number: int, rng: random.Random) -> Iterator[RecordedTest]:
    """60 tests on 4 boards; a board that is bad fails one test in five."""
    for test in range(60):
        name = f"tests/test_dut.py::test_{test:02}"
        board = UsedBoard(rng.choice(BOARDS), "0.09")
        call_s = 2.0 * rng.gauss(1.0, 0.03)
        if test == 7:  # one slow drift
            call_s *= 1 + 0.006 * number
        if test == 11 and number >= SKIPS_SINCE:
            yield tried(name, AttemptOutcome.SKIPPED, board=board)
            continue
        fails = (test == 20 and number >= REGRESSION_NIGHT) or (
            board.serial == BAD_BOARD and rng.random() < 0.2
        )
        if fails:
            yield tried(name, AttemptOutcome.FAILED, board=board, call_s=call_s)
            yield tried(name, AttemptOutcome.FAILED, 2, board=board, call_s=call_s)
        elif test == 33 and rng.random() < 0.15:  # one flaky test
            yield tried(name, AttemptOutcome.FAILED, board=board, call_s=call_s)
            yield tried(name, AttemptOutcome.PASSED, 2, board=board, call_s=call_s)
        else:
            yield tried(name, AttemptOutcome.PASSED, board=board, call_s=call_s)


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(11)  # noqa: S311 - the same quarter each time
    path = tmp_path_factory.mktemp("quarter") / "history.db"
    with History(path) as history:
        for number in range(NIGHTS):
            if number in MISSED:
                continue
            commit = "b" * 40 if number >= REGRESSION_NIGHT else "a" * 40
            began_s = START_S + number * DAY_S + rng.uniform(0, 600)
            run = RunRecord(f"night-{number}", began_s, kind="nightly", commit=commit, expected_boards=4)
            history.begin_run(run)
            history.add(run.key, night(number, rng))
            history.end_run(RunRecord(run.key, began_s, ended_s=began_s + 600, exit_status=1))
    return path


@pytest.fixture(scope="module")
def morning(quarter: Path) -> Analysis:
    with History(quarter) as history:
        return analyze(Window(history, NIGHTS))


def test_analysis_names_the_bad_board(morning: Analysis) -> None:
    (board,) = morning.boards

    assert (board.value, "look at the board" in str(board)) == (BAD_BOARD, True)


def test_analysis_names_the_regression_with_its_commits(morning: Analysis) -> None:
    (regression,) = morning.failing

    assert regression.test == "tests/test_dut.py::test_20"
    assert (regression.commit_before[:1], regression.commit[:1]) == ("a", "b")


def test_analysis_names_the_flaky_test_with_its_rate(morning: Analysis) -> None:
    (flaky,) = morning.flaky

    assert flaky.test == "tests/test_dut.py::test_33"
    assert flaky.low < 0.15 < flaky.high


def test_analysis_names_the_slower_test(morning: Analysis) -> None:
    (slower,) = morning.slower

    assert slower.test == "tests/test_dut.py::test_07"
    assert slower.later_s / slower.earlier_s == pytest.approx(1.47, abs=0.1)


def test_analysis_names_the_test_that_is_always_skipped(morning: Analysis) -> None:
    (skipping,) = morning.skipping

    assert (skipping.test, skipping.runs) == (
        "tests/test_dut.py::test_11",
        NIGHTS - SKIPS_SINCE - len(MISSED),
    )


def test_analysis_names_missing_nights(morning: Analysis) -> None:
    assert [line.partition(": ")[2] for line in morning.nights] == ["no run", "no run"]


def test_analysis_blames_no_other_test(morning: Analysis) -> None:
    assert [one.test for one in morning.failing] == ["tests/test_dut.py::test_20"]
    assert morning.fixed == []


def test_night_page_shows_all_findings_and_no_others(quarter: Path, tmp_path: Path) -> None:
    with History(quarter) as history:
        page = build_nights(Window(history, NIGHTS), tmp_path).page.read_text("utf-8")

    loud = page.partition("<h1>")[2].partition('<h2 id="matrix">')[0]
    there = loud.partition("<h2>Fail now, on that board alone")[2].partition("<h2>")[0]
    blamed = set(re.findall(r"::(test_\d\d)</a>", loud.replace(there, "")))
    assert blamed == {"test_07", "test_11", "test_20", "test_33"}
    assert loud.count(": no run") == len(MISSED)
    assert f"board {BAD_BOARD}</a>" in loud


def test_flaky_tells_attempts_and_claims_nothing_about_other_boards() -> None:
    flaky = [Flaky("a.py::one", Counts(1, 1), 0.0, 1.0), Flaky("a.py::two", Counts(3, 3), 0.0, 1.0)]

    told = Analysis(3, {"flaky": 2}, flaky=flaky).lines()

    assert "  a.py::one: flaky, an attempt failed in 1 of 1 run (100%)" in told
    assert "  a.py::two: flaky, an attempt failed in 3 of 3 runs (100%)" in told
    assert "Flaky: some attempts fail, and no board or image explains it" in told


def test_analysis_tells_the_newest_message_of_failing_and_flaky_tests(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        for number, outcome in enumerate([AttemptOutcome.PASSED, *[AttemptOutcome.FAILED] * 2]):
            run = RunRecord(f"night-{number}", START_S + number * DAY_S, kind="nightly")
            history.begin_run(run)
            one = tried("test_a.py::test_one", outcome, message=f"no login\nin night {number}")
            history.add(run.key, [one])
            history.end_run(run)
        lines = analyze(Window(history, NIGHTS)).lines()

    (at,) = (at for at, line in enumerate(lines) if "test_a.py::test_one: fails" in line)
    assert lines[at + 1] == "    no login in night 2"


def test_analysis_tells_with_which_image_a_test_broke(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        for number, (image, outcome) in enumerate(
            [("v2.0.img", AttemptOutcome.PASSED)] * 5 + [("v2.1.img", AttemptOutcome.FAILED)] * 2
        ):
            run = RunRecord(f"night-{number}", START_S + number * DAY_S, kind="nightly")
            history.begin_run(run)
            history.add(
                run.key,
                [tried("test_a.py::test_one", outcome, board=UsedBoard("0df10035"), image=image)],
            )
            history.end_run(run)
        (failing,) = analyze(Window(history, NIGHTS)).failing

    assert "passed with image v2.0.img, fails with image v2.1.img" in str(failing)
