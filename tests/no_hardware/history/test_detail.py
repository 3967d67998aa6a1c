"""`hil history TEST` and `hil history --board`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.errors import HistoryError
from hil.history.detail import of_board, of_test
from hil.history.models import Attempt, AttemptBench, AttemptOutcome, RunFacts
from hil.history.store import History
from hil.history.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400.0
GOOD, BAD = AttemptBench("0df10035", "0.09", "left"), AttemptBench("0df10036", "0.08", "right")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Twenty nights: `test_boots` fails on the right board alone."""
    with History(tmp_path / "h.db") as history:
        for night in range(20):
            began_s = 1_756_688_400.0 + night * DAY_S
            history.begin_run(
                RunFacts(f"n{night}", began_s, commit="c0ffee", ended_s=began_s + 1, exit_status=1)
            )
            bench = BAD if night % 2 else GOOD
            outcome = AttemptOutcome.FAILED if night % 2 else AttemptOutcome.PASSED
            boots = Attempt(
                "t.py::test_boots", outcome, bench=bench, call_s=2.0, mean_watts=3.5, message="no login"
            )
            history.add(f"n{night}", [boots, Attempt("t.py::test_reads", AttemptOutcome.PASSED, bench=bench)])
    return tmp_path / "h.db"


@pytest.fixture
def window(path: Path) -> Iterator[Window]:
    with History(path) as history:
        yield Window(history)


def test_of_test_shows_boards_durations_and_power(window: Window) -> None:
    _, lines = of_test(window, "t.py::test_boots")

    assert lines[0] == "t.py::test_boots: 20 of 20 runs had it; attempts: 10 passed, 10 failed"
    assert "fails on 0df10036 only: 10 of 10 there, 0 of 10 elsewhere" in "\n".join(lines)
    assert "on 0df10036: 10 of 10 failed (100%; 72% to 100%)" in lines
    assert "its body takes 2.00 s (median; 2.00 s of late)" in lines
    assert "the DUT draws 3.50 W (median; 3.50 W of late)" in lines
    assert lines[-1] == "2025-09-20  failed   0df10036  right  2.00 s  3.50 W  no login"


@pytest.mark.parametrize(("of_the_run", "known_as"), [("build-7", "build-7"), ("", "os.img (9 bytes)")])
def test_by_image_prefers_the_runs_image_to_the_file(tmp_path: Path, of_the_run: str, known_as: str) -> None:
    bench = AttemptBench("0df10035", "0.09", image="os.img (9 bytes)")
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunFacts("one", 1.0, image=of_the_run))
        history.add("one", [Attempt("t.py::test_boots", AttemptOutcome.FAILED, bench=bench)])

        assert list(Window(history).by_image(1)) == [known_as]


def test_of_test_accepts_a_unique_part_of_a_name(window: Window) -> None:
    assert of_test(window, "boots")[0]["test"] == "t.py::test_boots"


def test_of_test_may_be_limited_to_one_board(window: Window) -> None:
    data, lines = of_test(window, "boots", "left")

    assert lines[0].endswith("attempts: 10 passed")
    assert list(data["boards"]) == ["0df10035"]


def test_of_test_lists_tests_that_share_a_part(window: Window) -> None:
    with pytest.raises(HistoryError, match="2 tests have 'test_'") as caught:
        of_test(window, "test_")

    assert caught.value.why == "t.py::test_boots, t.py::test_reads"


def test_of_test_reports_an_unknown_test(window: Window) -> None:
    with pytest.raises(HistoryError, match="no test is called 'nope'"):
        of_test(window, "nope")


@pytest.mark.parametrize("name", ["0df10036", "right"])
def test_of_board_compares_it_with_others(window: Window, name: str) -> None:
    data, lines = of_board(window, name)

    assert lines[0] == "0df10036: used in 10 of 20 runs, last 2025-09-20, firmware 0.08, place right"
    assert lines[1] == "failed at the first attempt: 10 of 20 (50.0%) here, 0 of 20 (0.0%) on other boards"
    assert "look at the board" in lines[2]
    assert lines[3] == "t.py::test_boots: 10 of 10 failed here"
    assert json.dumps(data)


def test_of_board_lists_known_boards_for_an_unknown_one(window: Window) -> None:
    with pytest.raises(HistoryError, match="no board or place is called 'middle'") as caught:
        of_board(window, "middle")

    assert caught.value.why == "there are 0df10035, 0df10036"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("t.py::test_boots",), "on 0df10036: 10 of 10 failed"),
        (("--board", "right"), "used in 10 of 20 runs"),
        (("--board", "left", "boots"), "attempts: 10 passed"),
        (("boots", "--json"), '"test": "t.py::test_boots"'),
        (("forget", "--days", "100000"), "Removed 0 runs older than"),
    ],
)
def test_hil_history_shows_a_test(path: Path, arguments: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "hil.cli.main", "history", "--history", str(path), *arguments]
    ran = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)

    assert (ran.returncode, said in ran.stdout) == (0, True), ran.stdout + ran.stderr
