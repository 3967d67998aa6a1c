"""Missing nights, and problems of whole nights."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hil.evidence.records import RecordedTest, RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.nights import missing_nights, problems_of_newest
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from hil.nightly.run_folder import marked_as_running
from tests.support.made_up import tried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400.0
START_S = 1_756_688_400.0  # 2025-09-01
MIDNIGHT_S = 1_756_699_200.0  # 2025-09-01 in New York, which has summer time until day 63: November 2
ON_A_BOARD = tried("t.py::t", AttemptOutcome.PASSED, board=UsedBoard("0df10035", "0.09"))
NOT_STARTED = "pytest did not start: a wrong option, conftest.py or lab file"


def nights(*numbers: float, host: str = "", kind: str = "nightly") -> list[RunRecord]:
    return [RunRecord(f"{host}{n}", START_S + n * DAY_S, host, kind) for n in numbers]


def test_missing_nights_names_gaps() -> None:
    assert missing_nights(nights(0, 1, 2, 5, 6), now_s=0) == ["2025-09-04: no run", "2025-09-05: no run"]


def test_missing_nights_is_empty_without_gaps() -> None:
    assert missing_nights(nights(0, 1.01, 2, 2.99, 4), now_s=0) == []


@pytest.mark.parametrize(("days_later", "said"), [(1.2, 0), (1.7, 1), (3.1, 2), (400, 0)])
def test_missing_nights_includes_a_late_night_for_a_month(days_later: float, said: int) -> None:
    runs = nights(0, 1, 2, 3)

    assert len(missing_nights(runs, now_s=runs[-1].began_s + days_later * DAY_S)) == said


def test_missing_nights_ignores_runs_by_hand() -> None:
    runs = sorted(nights(0, 1, 3, 4, 5) + nights(2, 2.1, kind=""), key=lambda run: run.began_s)

    assert missing_nights(runs, now_s=0) == ["2025-09-03: no run"]


def test_missing_nights_are_counted_for_each_host() -> None:
    runs = sorted(nights(0, 1, 2, 3, 4, host="a") + nights(0, 1, 2, 4, host="b"), key=lambda run: run.began_s)

    assert missing_nights(runs, now_s=0) == ["2025-09-04: no run on b"]


def test_missing_nights_counts_several_runs_as_one_night() -> None:
    runs = nights(0, 0.01, 0.02, 1, 1.01, 2, 2.01, 4, 4.01, 5)

    assert missing_nights(runs, now_s=0) == ["2025-09-04: no run"]


def test_missing_nights_expects_none_after_experiments() -> None:
    minutes = [0.0, 1.5, 1.6, 1.7, 1.8, 30.0]

    assert missing_nights(nights(*(one / 1440 for one in minutes)), now_s=START_S + 0.5 * DAY_S) == []


def test_missing_nights_finds_gaps_in_frequent_runs() -> None:
    assert len(missing_nights(nights(0, 1 / 12, 2 / 12, 4 / 12, 5 / 12), now_s=0)) == 1


@pytest.mark.parametrize(
    ("run", "attempts", "said"),
    [
        (RunRecord("k", START_S), [ON_A_BOARD], ["the newest run was cut short, or goes on"]),
        (
            RunRecord("k", START_S, expected_boards=2, ended_s=1, exit_status=0),
            [ON_A_BOARD],
            ["1 of 2 boards were used"],
        ),
        (
            RunRecord("k", START_S, ended_s=1, exit_status=4),
            [],
            [
                f"no test ran, {NOT_STARTED}",
                f"the newest run ended with status 4, {NOT_STARTED}",
            ],
        ),
        (
            RunRecord("k", START_S, ended_s=1, exit_status=137),
            [ON_A_BOARD],
            ["the newest run ended with status 137, killed by signal 9"],
        ),
        (
            RunRecord("k", START_S, ended_s=1, exit_status=16),
            [ON_A_BOARD],
            ["the newest run ended with status 16, the bench was not ready"],
        ),
        (
            RunRecord("k", START_S, ended_s=1, exit_status=1),
            [ON_A_BOARD],
            ["the newest run failed, although no test did: see what it printed"],
        ),
        (RunRecord("k", START_S, expected_boards=1, ended_s=1, exit_status=0), [ON_A_BOARD], []),
    ],
    ids=["cut short", "one board", "no pytest", "killed", "bench", "no test failed", "fine"],
)
def test_problems_of_newest_names_each_problem(
    run: RunRecord, attempts: list[RecordedTest], said: list[str], tmp_path: Path
) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(run)
        history.add("k", attempts)

        assert problems_of_newest(Window(history)) == [f"2025-09-01: {one}" for one in said]


@pytest.mark.parametrize(
    ("locked", "since_s", "said"),
    [
        (True, 2.0, "the newest run goes on"),
        (False, 2.0, "the newest run was cut short"),
        (True, 3600.0, "the newest run was cut short, or goes on"),
        (True, -2.0, "the newest run was cut short, or goes on"),
    ],
    ids=["locked folder", "folder without a lock", "folder of an earlier night", "folder of a later night"],
)
def test_problems_of_newest_tells_by_the_folders_lock_whether_a_night_goes_on(
    locked: bool, since_s: float, said: str, tmp_path: Path
) -> None:
    run = RunRecord("k", START_S + since_s, kind="nightly")
    folder = tmp_path / "2025-09-01T010000Z"
    folder.mkdir()
    (tmp_path / "summer-Zoo").mkdir()
    with History(tmp_path / "history.db") as history, marked_as_running(folder if locked else tmp_path):
        history.begin_run(run)
        history.add("k", [ON_A_BOARD])
        problems = problems_of_newest(Window(history))

    assert problems == [f"2025-09-01: {said}"]


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone four or five hours west of UTC, with summer time."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
        time.tzset()
        yield
    time.tzset()


def at(day: int, hour: float) -> float:
    """An hour of September 2025, New York's time, in seconds since 1970."""
    return MIDNIGHT_S + (day - 1) * DAY_S + hour * 3600.0


def runs_seen(path: Path, began_s: dict[str, float], nights: int, kind: str = "") -> list[str]:
    with History(path) as history:
        for key, one in began_s.items():
            history.begin_run(RunRecord(key, one, kind="" if key.startswith("hand") else "nightly"))
        return [run.key for run in Window(history, nights, kind).runs]


@pytest.mark.usefixtures("in_new_york")
def test_window_night_lasts_from_noon_to_noon(tmp_path: Path) -> None:
    began_s = {
        "first": at(1, 11.9),
        "noon": at(1, 12),
        "evening": at(1, 23),
        "morning": at(2, 11.9),
        "next": at(2, 12),
    }

    assert runs_seen(tmp_path / "h.db", began_s, nights=2) == ["noon", "evening", "morning", "next"]


@pytest.mark.usefixtures("in_new_york")
def test_window_night_is_one_across_a_clock_change(tmp_path: Path) -> None:
    began_s = {"before": at(62, 11.5), "evening": at(62, 13), "morning": at(63, 12.5), "after": at(63, 13.5)}

    assert runs_seen(tmp_path / "h.db", began_s, nights=2) == ["evening", "morning", "after"]


def test_window_counts_only_nights_with_runs_of_its_kind(tmp_path: Path) -> None:
    began_s = {"a": at(1, 20), "b": at(9, 20), "hand": at(10, 20), "c": at(20, 20)}

    assert runs_seen(tmp_path / "all.db", began_s, nights=3) == ["b", "hand", "c"]
    assert runs_seen(tmp_path / "nightly.db", began_s, nights=3, kind="nightly") == ["a", "b", "c"]


def test_window_of_one_night_ends_with_the_newest_run(tmp_path: Path) -> None:
    began_s = {"a": at(1, 20), "b": at(2, 20), "again": at(2, 20.5)}

    assert runs_seen(tmp_path / "h.db", began_s, nights=1, kind="nightly")[-1] == "again"
