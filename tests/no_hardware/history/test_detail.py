"""`hil history TEST` and `hil history --board`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.errors import HistoryError
from hil.evidence.records import RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.analysis import analyze
from hil.history.detail import of_board, of_test
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.suspects import Counts
from hil.history.window import Window
from tests.support.made_up import tried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400.0
GOOD, BAD = UsedBoard("0df10035", "0.09", "left"), UsedBoard("0df10036", "0.08", "right")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Twenty nights: `test_boots` fails on the right board alone."""
    with History(tmp_path / "h.db") as history:
        for night in range(20):
            began_s = 1_756_688_400.0 + night * DAY_S
            history.begin_run(
                RunRecord(f"n{night}", began_s, commit="c0ffee", ended_s=began_s + 1, exit_status=1)
            )
            bench = BAD if night % 2 else GOOD
            outcome = AttemptOutcome.FAILED if night % 2 else AttemptOutcome.PASSED
            watts = 3.5 if outcome is AttemptOutcome.PASSED else 0.0
            boots = tried(
                "t.py::test_boots", outcome, board=bench, call_s=2.0, mean_watts=watts, message="no login"
            )
            history.add(f"n{night}", [boots, tried("t.py::test_reads", AttemptOutcome.PASSED, board=bench)])
    return tmp_path / "h.db"


@pytest.fixture
def window(path: Path) -> Iterator[Window]:
    with History(path) as history:
        yield Window(history)


def test_of_test_shows_boards_durations_and_power(window: Window) -> None:
    _, lines = of_test(window, "t.py::test_boots")

    assert lines[:2] == ["t.py::test_boots", "It was in 20 of 20 runs. Attempts: 10 passed, 10 failed."]
    assert "fails on right (0df10036) only: 10 of 10 there, 0 of 10 elsewhere" in "\n".join(lines)
    assert [line.split() for line in lines[lines.index("First attempts by board") + 1 :][:2]] == [
        ["board", "failed", "ran", "rate", "true", "rate,", "with", "95", "%", "confidence"],
        ["right", "(0df10036)", "10", "10", "100%", "72%", "to", "100%"],
    ]
    assert "  The body of the test takes 2.00 s (median of 10)." in lines
    assert "  The DUT draws 3.50 W (median of 10)." in lines, "of those that passed"
    assert lines[-1] == "  2025-09-20  failed   right (0df10036)  2.00 s      0.00 W  no login"


def test_of_test_names_both_boards_of_a_pair_and_counts_the_attempt_for_each(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0))
        pair = tried("t.py::test_link", AttemptOutcome.FAILED, board=GOOD, partners=(BAD,))
        history.add("one", [pair])

        window = Window(history)
        of_pair = of_test(window, "link")[1]
        of_second = of_board(window, "right")[1]

    assert "left (0df10035) + right (0df10036)" in of_pair[-1]
    assert window.boards == {"0df10035": Counts(1, 1), "0df10036": Counts(1, 1)}
    assert of_second[1].startswith("It was used in 1 of 1 run")


def test_of_test_of_one_board_has_the_attempts_in_which_it_was_the_second(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0))
        pair = tried("t.py::test_link", AttemptOutcome.PASSED, board=GOOD, partners=(BAD,))
        history.add("one", [pair])

        data, _ = of_test(Window(history), "link", "right")

    assert [one["boards"][0]["serial"] for one in data["attempts"]] == ["0df10035"]


@pytest.mark.parametrize(("of_the_run", "known_as"), [("build-7", "build-7"), ("", "os.img (9 bytes)")])
def test_by_image_prefers_the_runs_image_to_the_file(tmp_path: Path, of_the_run: str, known_as: str) -> None:
    attempt = tried("t.py::test_boots", AttemptOutcome.FAILED, board=GOOD, image="os.img (9 bytes)")
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0, image=of_the_run))
        history.add("one", [attempt])

        assert list(Window(history).by_image(1)) == [known_as]


def test_of_test_accepts_a_unique_part_of_a_name(window: Window) -> None:
    assert of_test(window, "boots")[0]["test"] == "t.py::test_boots"


def test_of_test_may_be_limited_to_one_board(window: Window) -> None:
    data, lines = of_test(window, "boots", "left")

    assert lines[0].startswith("t.py::test_boots")
    assert lines[1] == "It was in 10 of 20 runs. Attempts: 10 passed."
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

    assert lines[:3] == [
        "Board right (0df10036)",
        "It was used in 10 of 20 runs; last on 2025-09-20, with firmware 0.08.",
        "First attempts that failed: 10 of 20 (50.0%) on it, 0 of 20 (0.0%) without it.",
    ]
    assert "look at the board" in lines[lines.index("Findings") + 1]
    assert lines[-1].split() == ["t.py::test_boots", "10", "10"]
    assert json.dumps(data)


def test_of_board_lists_known_boards_for_an_unknown_one(window: Window) -> None:
    with pytest.raises(HistoryError, match="no board or place is called 'middle'") as caught:
        of_board(window, "middle")

    assert caught.value.why == "there are left (0df10035), right (0df10036)"


def test_of_board_without_boards_does_not_ask_for_one(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Window, "boards", {})

    with pytest.raises(HistoryError, match="no board or place is called 'nope'") as caught:
        of_board(window, "nope")

    assert caught.value.why == "no run in these nights used a board"
    assert caught.value.remedy == "hil history"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("t.py::test_boots",), "fails on right (0df10036) only: 10 of 10"),
        (("--board", "right"), "used in 10 of 20 runs"),
        (("--board", "left", "boots"), "Attempts: 10 passed"),
        (("boots", "--json"), '"test": "t.py::test_boots"'),
        (("forget", "--days", "100000"), "Removed 0 runs older than"),
    ],
)
def test_hil_history_shows_a_test(path: Path, arguments: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "hil.cli.main", "history", "--history", str(path), *arguments]
    ran = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)

    assert (ran.returncode, said in ran.stdout) == (0, True), ran.stdout + ran.stderr


THIRD = UsedBoard("0df10037", "0.09", "middle")


def _quarter_of_pairs(path: Path, pairs: list[tuple[UsedBoard, UsedBoard]]) -> Window:
    """Thirty nights of a test with two boards, which fails whenever the right board is one of them."""
    history = History(path)
    for night in range(30):
        history.begin_run(RunRecord(f"n{night}", night * DAY_S, ended_s=night * DAY_S + 1))
        first, second = pairs[night % len(pairs)]
        fails = BAD in (first, second)
        outcome = AttemptOutcome.FAILED if fails else AttemptOutcome.PASSED
        history.add(f"n{night}", [tried("t.py::test_link", outcome, board=first, partners=(second,))])
    return Window(history)


def test_suspect_of_finds_a_bad_board_that_is_always_the_second(tmp_path: Path) -> None:
    window = _quarter_of_pairs(tmp_path / "h.db", [(GOOD, BAD), (GOOD, THIRD), (THIRD, BAD)])

    suspicion = window.suspect_of(1)

    assert suspicion is not None
    assert str(suspicion).startswith("fails on right (0df10036) only: 20 of 20 there, 0 of 10 elsewhere")
    window.history.close()


def test_suspect_of_blames_neither_of_two_boards_that_are_always_together(tmp_path: Path) -> None:
    window = _quarter_of_pairs(tmp_path / "h.db", [(GOOD, BAD)])

    assert window.suspect_of(1) is None
    window.history.close()


def test_failing_says_that_one_run_is_not_enough_to_blame_board_or_test(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0, ended_s=2.0, exit_status=1))
        for bench, outcome in ((GOOD, AttemptOutcome.PASSED), (BAD, AttemptOutcome.FAILED)):
            column = bench.name
            history.add("one", [tried(f"t.py::t[{column}]", outcome, board=bench, column=column)])

        (failing,) = analyze(Window(history)).failing

    assert str(failing) == (
        "t.py::t[right]: fails, new; failed on right (0df10036) alone so far, 1 of 1 there, 0 of 1 "
        "elsewhere: not enough runs to say whether the board or the test is at fault (7 times as many with "
        "the same outcome are enough)"
    )


def test_bad_board_of_a_single_run_is_told_as_seen_once(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0, ended_s=2.0, exit_status=1))
        tests = range(10)
        for bench, outcome in ((GOOD, AttemptOutcome.PASSED), (BAD, AttemptOutcome.FAILED)):
            history.add("one", [tried(f"t.py::t{n}[{bench.name}]", outcome, board=bench) for n in tests])

        (board,) = analyze(Window(history)).boards

    assert str(board).endswith("another one tells whether the board or the tests are at fault")


@pytest.fixture
def sets(tmp_path: Path) -> Iterator[Window]:
    """A run of `test_version` with four sets of parameters, one of which fails, and of `test_versions`."""
    with History(tmp_path / "sets.db") as history:
        history.begin_run(RunRecord("one", 1.0, ended_s=2.0, exit_status=1))
        for column in ("left-v2.0", "left-v2.1", "right-v2.0", "right-v2.1"):
            outcome = AttemptOutcome.FAILED if column == "right-v2.1" else AttemptOutcome.PASSED
            history.add("one", [tried(f"t.py::test_version[{column}]", outcome, board=GOOD, column=column)])
        history.add("one", [tried("t.py::test_versions", AttemptOutcome.PASSED)])
        yield Window(history)


@pytest.mark.parametrize("text", ["test_version", "t.py::test_version", "_version["])
def test_of_test_without_parameters_shows_the_counts_of_each_set(sets: Window, text: str) -> None:
    data, lines = of_test(sets, text)

    assert lines[0] == "t.py::test_version"
    assert [(one["failed"], one["ran"]) for one in data["parameter_sets"]] == [(0, 1)] * 3 + [(1, 1)]
    assert "[right-v2.1]" in "\n".join(lines)
    assert any(line.startswith("  [right-v2.1]: fails, new") for line in lines)


def test_of_test_refuses_a_part_that_two_tests_have(sets: Window) -> None:
    with pytest.raises(HistoryError, match="5 tests have '_version' in their names"):
        of_test(sets, "_version")


def test_finding_about_several_sets_of_parameters_is_told_once(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0, ended_s=2.0, exit_status=1))
        for bench in (GOOD, BAD):
            name, column = f"t.py::t[{bench.name}]", bench.name
            history.add("one", [tried(name, AttemptOutcome.FAILED, board=bench, column=column)])

        _, lines = of_test(Window(history), "t.py::t")

    (finding,) = [line for line in lines if "fails on both boards" in line]
    assert finding.startswith(f"  [{GOOD.name}], [{BAD.name}]: fails, new;")


def test_details_list_boards_by_name_and_number(tmp_path: Path) -> None:
    boards = [UsedBoard(f"0df1003{place}", "0.09", f"rack-{name}") for place, name in enumerate((10, 9, 2))]
    with History(tmp_path / "h.db") as history:
        for number, one in enumerate(boards):
            history.begin_run(RunRecord(f"n{number}", 2.0 + number))
            history.add(f"n{number}", [tried("t.py::t", AttemptOutcome.PASSED, board=one)])
        window = Window(history)
        with pytest.raises(HistoryError) as caught:
            of_board(window, "rack-3")
        _, lines = of_test(window, "t.py::t")

    assert caught.value.why == "there are rack-2 (0df10032), rack-9 (0df10031), rack-10 (0df10030)"
    assert [line.split()[0] for line in lines if line.startswith("  rack-")] == [
        "rack-2",
        "rack-9",
        "rack-10",
    ]
