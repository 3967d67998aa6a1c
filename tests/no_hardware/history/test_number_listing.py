"""`hil history numbers`: every number with its newest value, and one number by night and board."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from hil.cli.main import run
from hil.evidence.measurement import Measurement
from hil.evidence.records import RecordedTest, RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.numbers.drift import find_drifts
from hil.history.numbers.series import changed_numbers, newest_blocks, read_series
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from tests.support.made_up import tried

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400.0
NIGHTS = 24
LEFT = UsedBoard("0df10035", "0.09", "left")
RIGHT = UsedBoard("0df10036", "0.09", "right")
TEST = "t.py::test_boot"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Nights in which `boot` jumps on both boards at the sixteenth, and `rate` stays as it is."""
    path = tmp_path / "h.db"
    with History(path) as history:
        for night in range(NIGHTS):
            run_facts = RunRecord(f"n{night}", night * DAY_S, commit="b" * 40 if night > 15 else "a" * 40)
            history.begin_run(run_facts)
            history.add(run_facts.key, list(attempts(night)))
    return path


def attempts(night: int) -> list[RecordedTest]:
    boot = 12.0 + night % 3 / 10 + 8.5 * (night > 15)
    made = [
        tried(TEST, AttemptOutcome.FAILED, 1, LEFT, numbers=(Measurement("boot", boot, "s", 20.0),)),
        tried(TEST, AttemptOutcome.PASSED, 2, RIGHT, numbers=(Measurement("boot", boot + 1, "s", 20.0),)),
    ]
    series = tuple(Measurement("rate", value, "MB/s", above=1.0) for value in (40.0, 2.0, 42.0 + night % 4))
    return [*made, tried("t.py::test_rate", AttemptOutcome.PASSED, numbers=series)]


def passed(test: str, bench: UsedBoard, numbers: tuple[Measurement, ...], column: str = "") -> RecordedTest:
    return tried(test, AttemptOutcome.PASSED, 1, bench, numbers=numbers, column=column)


def hil(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[int, str]:
    status = run(["history", "--history", str(path), *words])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def test_read_series_takes_the_median_of_a_series_in_a_run(kept: Path) -> None:
    with History(kept) as history:
        boot, rate = read_series(Window(history))

    assert [point.value for point in rate.points[:3]] == [40.0, 40.0, 40.0]
    assert (rate.unit, rate.points[0].board, rate.points[0].above) == ("MB/s", "", 1.0)
    assert [(point.run, point.board) for point in boot.points[:2]] == [(0, "0df10035"), (0, "0df10036")]


def test_read_series_leaves_simulated_boards_out_if_the_newest_run_had_real_ones(kept: Path) -> None:
    with History(kept) as history:
        simulated = UsedBoard("5im00001", simulated=True)
        history.begin_run(RunRecord("early", -DAY_S))
        history.add(
            "early",
            [tried(TEST, AttemptOutcome.PASSED, 1, simulated, numbers=(Measurement("boot", 1.0, "s"),))],
        )

        boot, _ = read_series(Window(history))

    assert boot.boards == ["0df10035", "0df10036"]


def test_read_series_joins_tests_that_differ_in_their_board(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("n", 1.0))
        for bench, test in ((LEFT, "t.py::test_a[left-1]"), (RIGHT, "t.py::test_a[right-1]")):
            numbers = (Measurement("boot", 12.0, "s"),)
            history.add("n", [passed(test, bench, numbers, bench.name)])

        (joined,) = read_series(Window(history))

    assert (joined.test, joined.boards) == ("t.py::test_a[1]", ["0df10035", "0df10036"])
    assert joined.tests == ["t.py::test_a[left-1]", "t.py::test_a[right-1]"]


def test_read_series_keeps_a_parameter_that_is_called_like_the_board(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("n", 1.0))
        for bench, test in ((LEFT, "t.py::test_a[left]"), (RIGHT, "t.py::test_a[right]")):
            history.add("n", [passed(test, bench, (Measurement("boot", 12.0, "s"),))])

        assert [one.test for one in read_series(Window(history))] == [
            "t.py::test_a[left]",
            "t.py::test_a[right]",
        ]


def test_read_series_goes_on_with_the_next_image_version(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        for night, version in enumerate(("v2.1", "v2.2")):
            history.begin_run(RunRecord(f"n{night}", night * DAY_S))
            numbers = (Measurement("boot", 12.0, "s"),)
            one = passed(f"t.py::test_a[left-{version}]", LEFT, numbers, f"left-{version}")
            history.add(f"n{night}", [replace(one, image=f"os-{version}.img")])

        (joined,) = read_series(Window(history))

    assert (joined.test, joined.boards) == ("t.py::test_a", ["0df10035"])
    assert [point.image for point in joined.points] == ["os-v2.1.img", "os-v2.2.img"]


def test_lines_of_series_name_the_image_of_the_newest_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with History(tmp_path / "h.db") as history:
        for night, build in enumerate(("aa", "bb", "aa")):
            history.begin_run(RunRecord(f"n{night}", night * DAY_S))
            numbers = (Measurement("boot", 12.0, "s"),)
            history.add(
                f"n{night}",
                [
                    replace(passed(f"t.py::test_a[{name}]", LEFT, numbers, name), image=image)
                    for name, image in (("v2.0", "rack-v2.0.img"), ("v2.1", f"rack-v2.1.img ({build})"))
                ],
            )

    _, said = hil(capsys, tmp_path / "h.db", "numbers", "boot")

    assert "on left (0df10035) with image rack-v2.1.img (aa) and 1 earlier: 12 s to 12 s" in said


def test_read_series_tells_simulated_boards_by_their_place(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        for night in range(2):
            bench = UsedBoard(f"5im0000{night}", "0.09", "sim-1", simulated=True)
            history.begin_run(RunRecord(f"n{night}", night * DAY_S))
            numbers = (Measurement("boot", 12.0, "s"),)
            history.add(f"n{night}", [tried(TEST, AttemptOutcome.PASSED, 1, bench, numbers=numbers)])

        (boot,) = read_series(Window(history))

    assert boot.boards == ["sim-1"]


def test_drift_on_one_of_many_numbers_is_compared_with_the_other_boards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look marks the number of the one board; the numbers of the others are read with it."""
    monkeypatch.setattr("hil.history.numbers.drift._EXAMINED_ALL", 0)
    with History(tmp_path / "h.db") as history:
        for night in range(NIGHTS):
            history.begin_run(RunRecord(f"n{night}", night * DAY_S))
            for bench in (LEFT, RIGHT):
                value = 12.0 + night % 3 / 10 + (5.0 if bench is LEFT and night > 11 else 0)
                numbers = (Measurement("boot", value, "s"),)
                test = f"{TEST}[{bench.name}-1]"
                history.add(f"n{night}", [passed(test, bench, numbers, bench.name)])

        (drift,) = find_drifts(Window(history))

    assert (drift.test, drift.factor, drift.value) == (f"{TEST}[left-1]", "board", "0df10035")


def test_number_whose_unit_changed_is_two_series(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        for night, unit in enumerate(("s", "ms")):
            history.begin_run(RunRecord(f"n{night}", night * DAY_S))
            numbers = (Measurement("boot", 12.0, unit),)
            history.add(f"n{night}", [tried(TEST, AttemptOutcome.PASSED, numbers=numbers)])

        assert sorted(one.unit for one in read_series(Window(history))) == ["ms", "s"]


def test_changed_numbers_is_a_first_look_that_finds_a_step(kept: Path) -> None:
    with History(kept) as history:
        window = Window(history)
        names = dict(window.query("SELECT id, name FROM measure"))

        assert [names[number] for number in changed_numbers(window, newest_blocks(window))] == ["boot"]


def test_find_drifts_of_many_numbers_takes_the_first_look(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hil(capsys, kept)
    monkeypatch.setattr("hil.history.numbers.drift._EXAMINED_ALL", 0)

    assert hil(capsys, kept) == before
    assert "boot rose since 1970-01-17" in before[1]


def test_hil_history_numbers_tells_drifts_then_newest_values(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = hil(capsys, kept, "numbers")

    commits = "at commit bbbbbbbbbb (before: aaaaaaaaaa)"
    assert (status, said.splitlines()) == (
        0,
        [
            f"{TEST}: boot rose since 1970-01-17, 12.6 s became 21.12 s (+67.6%), on both boards, {commits}",
            "",
            TEST,
            "  number  newest  must be             mean, newest 8 runs  runs  board",
            "  boot    21.7 s  below 20 s: BROKEN              21.11 s     8  right (0df10036)",
            "",
            "t.py::test_rate",
            "  number   newest  must be       mean, newest 8 runs  runs",
            "  rate    45 MB/s  above 1 MB/s            28.5 MB/s     8",
        ],
    )


def test_hil_history_numbers_tells_what_the_newest_run_did_not_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with History(tmp_path / "h.db") as history:
        for night in range(2):
            history.begin_run(RunRecord(f"n{night}", night * DAY_S))
            for name in ("v2.0", "v2.1")[: 2 - night]:
                one = passed(f"{TEST}[{name}]", LEFT, (Measurement("boot", 12.0, "s"),), name)
                history.add(f"n{night}", [replace(one, image=f"rack-{name}.img")])

    _, said = hil(capsys, tmp_path / "h.db", "numbers")

    old, new = (line.split() for line in said.splitlines() if line.startswith("  boot"))
    assert old[-2:] == ["(0df10035)", "rack-v2.0.img"]
    assert " ".join(new).endswith("rack-v2.1.img not in the newest run, 1970-01-01")


def test_hil_history_numbers_as_json(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "history", "--history", str(kept), "numbers"])

    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (status, [one["name"] for one in data["numbers"]]) == (0, ["boot", "rate"])
    assert data["drifted"][0]["commit"] == "b" * 40


def test_hil_history_numbers_of_one_shows_boards_and_nights(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = hil(capsys, kept, "numbers", "boot")

    lines = said.splitlines()
    assert (status, lines[0]) == (0, f"{TEST}: boot, in 24 of 24 runs")
    assert lines[1].startswith("boot rose since 1970-01-17")
    assert "on left (0df10035): 12 s to 20.7 s, median 12.2 s, of 24" in lines
    assert lines[-1].split("  ")[1:] == [
        *("1970-01-24", "21.7 s", "below 20 s: BROKEN", "right (0df10036)", "bbbbbbbbbb")
    ]


def test_hil_history_numbers_of_one_board_shows_no_other(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["history", "--history", str(kept), "--board", "left", "numbers", "boot"])
    said = capsys.readouterr().out

    assert (status, "0df10036" in said, "0df10035" in said) == (0, False, True)


def test_hil_history_numbers_lists_those_of_a_board(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["history", "--history", str(kept), "--board", "left", "numbers"])
    said = capsys.readouterr().out.splitlines()

    assert (status, len(said)) == (0, 5)
    assert said[0].startswith(f"{TEST}: boot rose since 1970-01-17, 12.1 s became")
    assert ", on board left (0df10035), at commit" in said[0]
    assert " ".join(said[-1].split()) == "boot 20.7 s below 20 s: BROKEN 20.61 s 8 left (0df10035)"


@pytest.mark.parametrize("board", ["sim-1", "5im00001"])
@pytest.mark.parametrize("words", [("numbers",), ("numbers", "boot"), ("test_boot[sim-1]",)])
def test_hil_history_numbers_of_a_simulated_board_are_found_by_place_and_serial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], board: str, words: tuple[str, ...]
) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("n", 1.0))
        for at in (1, 2):
            bench = UsedBoard(f"5im0000{at}", "0.09", f"sim-{at}", simulated=True)
            history.add(
                "n", [passed(f"{TEST}[sim-{at}]", bench, (Measurement("boot", at, "s"),), f"sim-{at}")]
            )

    status = run(["history", "--history", str(tmp_path / "h.db"), "--board", board, *words])

    said = capsys.readouterr().out
    assert (status, "sim-1" in said, "sim-2" in said) == (0, True, False), said


def test_hil_history_numbers_of_none_names_those_there_are(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = hil(capsys, kept, "numbers", "bott")

    assert (status, "there are boot, rate" in said, "try: hil history numbers" in said) == (1, True, True)


def test_hil_history_numbers_without_any_names_the_fixture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("n", 1.0))

    status, said = hil(capsys, tmp_path / "h.db", "numbers")

    assert (status, "the fixture measure" in said) == (0, True)


def test_hil_history_of_a_test_tells_its_drift(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = hil(capsys, kept, "test_boot")

    assert (status, "boot rose since 1970-01-17" in said) == (0, True)
    assert "boot, on left (0df10035): 12 s to 20.7 s, median 12.2 s, of 24" in said.splitlines()
