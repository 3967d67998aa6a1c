"""Results on simulated and on real boards are kept apart; a test without its board has no result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RecordedTest, RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.analysis import analyze
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from hil.report.highlights import headline
from tests.support.made_up import tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.history.findings import Analysis

TEST = "t.py::t"
REAL = UsedBoard("0df10035", "0.09")
SIMULATED = UsedBoard("51000001", "0.09", simulated=True)
NO_BOARD = tried(TEST, AttemptOutcome.ERROR, verdict="absent")


def on(bench: UsedBoard, outcome: AttemptOutcome) -> RecordedTest:
    return tried(TEST, outcome, board=bench)


@pytest.fixture
def after(tmp_path: Path) -> Iterator[Callable[..., Analysis]]:
    """Return the analysis after nights with one attempt each, the newest last."""
    with History(tmp_path / "history.db") as history:

        def after(*attempts: RecordedTest) -> Analysis:
            for night, attempt in enumerate(attempts):
                began_s = time.time() - (len(attempts) - night) * 86_400
                run = RunRecord(str(night), began_s, ended_s=began_s + 1, exit_status=0)
                history.begin_run(run)
                history.add(run.key, [attempt])
                history.close_run(run.key, run.ended_s or 0.0, 0)
            return analyze(Window(history))

        yield after


def test_fixed_excludes_a_simulated_pass_after_a_real_failure(
    after: Callable[..., Analysis],
) -> None:
    morning = after(on(REAL, AttemptOutcome.FAILED), on(SIMULATED, AttemptOutcome.PASSED))

    assert (morning.fixed, morning.simulated) == ([], True)
    assert "on SIMULATED boards" in morning.lines()[0]


def test_fixed_ignores_simulated_nights_between_real_ones(
    after: Callable[..., Analysis],
) -> None:
    morning = after(
        on(REAL, AttemptOutcome.FAILED), on(SIMULATED, AttemptOutcome.PASSED), on(REAL, AttemptOutcome.PASSED)
    )

    assert (morning.fixed, morning.simulated) == ([TEST], False)


def test_suspect_does_not_count_simulated_passes_as_elsewhere(after: Callable[..., Analysis]) -> None:
    nights = [on(SIMULATED, AttemptOutcome.PASSED)] * 20 + [on(REAL, AttemptOutcome.FAILED)] * 4

    (failing,) = after(*nights).failing

    assert failing.suspicion is None


def test_failing_counts_only_nights_on_its_kind_of_board(after: Callable[..., Analysis]) -> None:
    (failing,) = after(NO_BOARD, on(REAL, AttemptOutcome.FAILED)).failing

    assert (failing.is_new, failing.commit_before) == (True, "")


def test_no_board_lists_tests_without_their_board(after: Callable[..., Analysis]) -> None:
    morning = after(on(REAL, AttemptOutcome.PASSED), NO_BOARD)

    assert (morning.failing, morning.no_board) == ([], [TEST])
    assert headline(morning) == "the bench was not ready: 1 test had no board"
    assert morning.lines()[-2:] == ["Had no board, so the bench is at fault", f"  {TEST}"]
