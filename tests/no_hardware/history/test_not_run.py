"""A run of some tests does not hide the failures of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.analysis import Analysis, analyze
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from hil.report.highlights import headline
from hil.report.night_pages import build_nights
from tests.support.made_up import BEGAN_S, DAY_S, tried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LETTERS = {"f": AttemptOutcome.FAILED, "p": AttemptOutcome.PASSED, "e": AttemptOutcome.ERROR}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "history.db") as kept:
        yield kept


def keep(history: History, *nights: dict[str, str]) -> Window:
    """Keep nights, each with the outcomes of its tests."""
    for night, outcomes in enumerate(nights):
        began_s = BEGAN_S + night * DAY_S
        history.begin_run(RunRecord(f"n{night}", began_s, kind="nightly"))
        board = UsedBoard("0df10035", "0.09")
        history.add(f"n{night}", [tried(name, LETTERS[one], board=board) for name, one in outcomes.items()])
        history.close_run(f"n{night}", began_s + 60, 0)
    return Window(history, 60)


def analysis_of(window: Window) -> Analysis:
    return analyze(window, now_s=window.runs[-1].began_s)


def test_failures_that_did_not_run_again_are_told(history: History, tmp_path: Path) -> None:
    window = keep(
        history,
        {"t.py::test_a": "p", "t.py::test_b": "f", "t.py::test_c": "f", "t.py::test_d": "p"},
        {"t.py::test_a": "p"},
    )
    found = analysis_of(window)
    page = build_nights(window, tmp_path / "pages")

    said = (
        "3 tests did not run in the newest run, 2 of them failed when they last ran: "
        "t.py::test_b, t.py::test_c"
    )
    assert f"  {said}" in found.lines()
    assert said in page.page.read_text("utf-8")
    assert headline(found) == "no test fails, 2 that failed before did not run"


def test_tests_that_passed_and_did_not_run_again_are_not_told(history: History) -> None:
    found = analysis_of(keep(history, {"t.py::test_a": "p", "t.py::test_b": "p"}, {"t.py::test_a": "p"}))

    assert found.not_run is None


def test_failure_of_long_ago_is_not_told_again(history: History) -> None:
    found = analysis_of(keep(history, {"t.py::test_b": "f"}, *[{"t.py::test_a": "p"}] * 14))

    assert found.not_run is None


def test_file_that_is_collected_again_did_run(history: History) -> None:
    found = analysis_of(keep(history, {"t.py": "e"}, {"t.py::test_a": "p"}))

    assert found.not_run is None
