"""The pages about all nights: findings first, then the matrix of tests and nights."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hil.cli.main import run
from hil.evidence.records import RecordedTest, RunRecord, file_stem
from hil.evidence.used_board import UsedBoard
from hil.history.matrix_data import MatrixCell, MatrixQueries
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from hil.report.matrix import outcome_letters, sparkline, tally
from hil.report.night_pages import build_nights
from hil.suite.outcome.exit_status import Status
from tests.no_hardware.report.test_run_pages import Page
from tests.support.made_up import BEGAN_S, HOSTILE, a_test, keep_nights, keep_run, tried

if TYPE_CHECKING:
    from pathlib import Path

TESTS = ["tests/test_a.py::test_new", "tests/test_a.py::test_flaky", "tests/test_b.py::test_skips"]
TESTS += [f"tests/test_c.py::test_{number}" for number in range(250)] + [f"tests/test_d.py::test[{HOSTILE}]"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of twelve nights, one of which has a folder."""
    folder = tmp_path_factory.mktemp("nights")
    keep_nights(folder / "history.db", TESTS)
    keep_run(folder / "2027-01-26T080000Z", *(a_test(test, run="n11") for test in TESTS[:3]), key="n11")
    with History(folder / "history.db") as history:
        build_nights(Window(history), folder / "report", [folder])
    return folder / "report"


def index(built: Path) -> str:
    return (built / "index.html").read_text()


def test_night_page_shows_findings_in_order(built: Path) -> None:
    page = Page(index(built)).text

    places = [
        page.rindex(word)
        for word in ("1 test fails", "Still failing", "Always skipped", "Flaky", "Tests by nights")
    ]
    assert places == sorted(places)
    assert "fails, since 2027-01-24, 3 runs, passed at 0000000000, fails at 0000000000" in page


def test_night_page_has_a_row_for_every_test(built: Path) -> None:
    rows = [value for name, value in Page(index(built)).attributes if name == "data-o"]

    assert len(rows) == len(TESTS)
    assert rows[:3] == ["pkpppkpppkpp", "pppppppppfff", "s" * 12]


def test_night_page_splits_long_lists(built: Path) -> None:
    assert Page(index(built)).tags.count("section") == 6  # one of 250 tests takes three


def test_night_page_escapes_names(built: Path) -> None:
    page = Page(index(built))

    assert (page.tags.count("script"), "img" in page.tags) == (1, False)
    assert "\u202e" not in index(built)


def test_night_page_links_to_a_nights_own_pages(built: Path) -> None:
    links = [value for name, value in Page(index(built)).attributes if name == "href"]

    assert "../2027-01-26T080000Z/index.html" in links
    assert (built.parent / "2027-01-26T080000Z" / "index.html").is_file()


def test_test_page_lists_attempts_with_links(built: Path) -> None:
    page = (built / "tests" / f"{file_stem(TESTS[0])}.html").read_text()

    assert page.count('<th scope="row"') == 12
    assert f"../../2027-01-26T080000Z/tests/{file_stem(TESTS[0])}.html" in page


def test_test_page_draws_durations_with_axes_in_seconds_and_nights(built: Path) -> None:
    page = (built / "tests" / f"{file_stem(TESTS[0])}.html").read_text(encoding="utf-8")
    chart = page[page.index('aria-label="Seconds by night"') :].partition("</svg>")[0]

    assert chart.count('class="grid"') == 3
    assert [label in chart for label in (">0 s<", ">0.5 s<", ">1 s<")] == [True] * 3
    assert (">2027-01-15<" in chart, ">2027-01-26<" in chart) == (True, True)
    assert "<title>2027-01-26: failed, 1 s</title>" in chart


def test_test_page_shows_the_image_of_each_attempt_and_how_long_a_failed_set_up_took(tmp_path: Path) -> None:
    board, image = UsedBoard("5a", "0.09", "left"), "rack-v2.1.img (512 bytes, 3f1c8a40b2de)"
    test = tried(TESTS[0], AttemptOutcome.ERROR, board=board, setup_s=6.0, image=image)
    with History(tmp_path / "history.db") as history:
        history.begin_run(RunRecord("n0", BEGAN_S, "lab"))
        history.add("n0", [test])
        build_nights(Window(history), tmp_path / "report")

    page = Page((tmp_path / "report" / "tests" / f"{file_stem(TESTS[0])}.html").read_text()).text

    assert "rack-v2.1.img" in page
    assert "6.00 s" in page
    assert "0.0 ms" not in page


def test_board_page_counts_a_failure_in_two_attempts_once(tmp_path: Path) -> None:
    board = UsedBoard("5a", "0.09", "left")
    attempts = [tried(TESTS[0], AttemptOutcome.FAILED, number, board=board) for number in (1, 2)]
    with History(tmp_path / "history.db") as history:
        history.begin_run(RunRecord("n0", BEGAN_S, "lab"))
        history.add("n0", attempts)

        assert MatrixQueries(Window(history)).failures_on("5a", 9) == [(TESTS[0], 1)]


def test_boards_over_the_nights_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    named = {"5a": "jetson-10", "5b": "jetson-2", "5c": "alder"}
    boards = [UsedBoard(serial, name=name) for serial, name in named.items()]
    with History(tmp_path / "history.db") as history:
        history.begin_run(RunRecord("n0", BEGAN_S, "lab"))
        history.add("n0", [tried(f"t::{one.name}", AttemptOutcome.PASSED, board=one) for one in boards])

        assert list(MatrixQueries(Window(history)).boards()) == ["5c", "5b", "5a"]


def test_wall_page_shows_one_number_and_boards_and_reloads(built: Path) -> None:
    wall = (built / "wall.html").read_text(encoding="utf-8")

    assert '<div class="number o-failed">1</div>' in wall
    assert wall.count("<li class=") == 4, "a tile for each board"
    assert 'http-equiv="refresh"' in wall
    assert "1 test fails" in wall
    assert "<kbd>/</kbd> search" not in wall, "it has nothing to search"


@pytest.mark.parametrize(
    ("second", "number", "said", "tiles"),
    [
        (
            AttemptOutcome.PASSED,
            '"number o-flaky">1<',
            "1 test is flaky, none fails",
            {"o-flaky", "o-passed"},
        ),
        (AttemptOutcome.FAILED, '"number o-failed">1<', "1 test fails, 1 new", {"o-failed", "o-passed"}),
    ],
)
def test_wall_page_tells_flaky_tests_from_failed_ones(
    tmp_path: Path, second: AttemptOutcome, number: str, said: str, tiles: set[str]
) -> None:
    boards = [UsedBoard("0df10035", "0.09"), UsedBoard("0df10036", "0.09")]
    keep_night(
        tmp_path,
        tried("t.py::test_b", AttemptOutcome.PASSED, board=boards[1]),
        tried("t.py::test_a", AttemptOutcome.FAILED, board=boards[0]),
        tried("t.py::test_a", second, 2, board=boards[0]),
    )

    wall = (tmp_path / "report" / "wall.html").read_text(encoding="utf-8")
    assert (number in wall, f"<h1>{said}</h1>" in wall) == (True, True), wall
    assert set(re.findall(r'<li class="(.*?)">', wall)) == tiles
    is_flaky = second is AttemptOutcome.PASSED
    assert ("1 test, 0 failed, 1 flaky" in wall, "1 test, 1 failed<" in wall) == (is_flaky, not is_flaky)


def test_night_page_counts_a_boards_flaky_tests_apart_from_failed_ones(tmp_path: Path) -> None:
    board = UsedBoard("0df10035", "0.09")
    outcomes = [AttemptOutcome.FAILED, AttemptOutcome.FAILED, AttemptOutcome.PASSED]
    attempts = [tried("t.py::test_a", outcome, at, board=board) for at, outcome in enumerate(outcomes, 1)]
    keep_night(tmp_path, *attempts, tried("t.py::test_b", AttemptOutcome.ERROR, board=board))

    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8").partition('id="boards"')[2]
    assert re.findall(r'<td class="num">(.*?)</td>', page)[:5] == ["1", "2", "1", "1", "50.0 %"]


def test_headline_counts_a_flaky_test_that_fails_now(tmp_path: Path) -> None:
    board = UsedBoard("0df10035", "0.09")
    nights = [AttemptOutcome.FAILED if night % 3 == 0 else AttemptOutcome.PASSED for night in range(10)]
    for night, outcome in enumerate(nights):
        keep_night(tmp_path, tried("t.py::test_a", outcome, board=board), night=night)

    wall = (tmp_path / "report" / "wall.html").read_text(encoding="utf-8")
    assert ('"number o-failed">1<' in wall, "1 test fails" in wall) == (True, True)
    assert ">Flaky<" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def keep_night(folder: Path, *attempts: RecordedTest, night: int = 0) -> None:
    """Add a night to the folder's history and write the pages."""
    with History(folder / "history.db") as history:
        run = RunRecord(f"n{night}", BEGAN_S + night * 86_400, kind="nightly")
        history.begin_run(run)
        history.add(run.key, attempts)
        failed = any(AttemptOutcome[each.attempts[-1].outcome.upper()].is_failure for each in attempts[-1:])
        history.close_run(run.key, run.began_s + 60, Status.TESTS_FAILED if failed else Status.FLAKY)
        build_nights(Window(history), folder / "report")


def test_wall_page_leaves_out_simulated_boards_of_earlier_nights(tmp_path: Path) -> None:
    old = [UsedBoard("51000001", "0.09", simulated=True), UsedBoard("0df10035", "0.09")]
    new = [UsedBoard("51000002", "0.09", simulated=True)]
    with History(tmp_path / "history.db") as history:
        for night, benches in enumerate([old, new]):
            run = RunRecord(f"n{night}", BEGAN_S + night * 86_400, kind="nightly")
            history.begin_run(run)
            history.add(
                run.key,
                [tried(f"t.py::{one.serial}", AttemptOutcome.ERROR, board=one) for one in benches],
            )
            history.close_run(run.key, run.began_s + 60, 1)
        build_nights(Window(history), tmp_path / "report")

    wall = (tmp_path / "report" / "wall.html").read_text(encoding="utf-8")
    assert ("51000001" in wall, "0df10035" in wall, "51000002" in wall) == (False, True, True)
    assert '<li class="o-error"><' in (tmp_path / "report" / "index.html").read_text(encoding="utf-8"), (
        "as in the matrix"
    )


def test_night_page_names_the_board_and_utc_time_of_a_failure(built: Path) -> None:
    page = index(built)

    assert re.search(r"on 0df1003\d: no ", page)
    assert re.search(r'<time datetime="[\dT:-]+Z">[\d: -]+ UTC</time>', page)
    assert "failure rate" in page


def test_night_pages_have_one_for_each_board(built: Path) -> None:
    assert sorted(path.stem for path in (built / "boards").iterdir()) == [f"0df1003{n}" for n in range(4)]


def test_night_pages_have_no_broken_link(built: Path) -> None:
    for path in built.glob("**/*.html"):
        links = [value for name, value in Page(path.read_text()).attributes if name == "href" and value]
        missing = [one for one in links if not one.startswith("#") and not path.parent.joinpath(one).exists()]
        assert (path.name, missing) == (path.name, [])


@pytest.mark.parametrize(
    ("status", "attempts", "said"),
    [
        (5, [], "no test ran, no test was found, or none used a board"),
        (4, [], "no test ran, pytest did not start: a wrong option, conftest.py or lab file"),
        (None, [], "no test ran, it was cut short, or goes on"),
        (0, [tried(TESTS[0], AttemptOutcome.SKIPPED)], "no test ran, the only one was skipped"),
    ],
)
def test_night_page_says_first_that_no_test_ran(
    status: int | None, attempts: list[RecordedTest], said: str, tmp_path: Path
) -> None:
    keep_nights(tmp_path / "history.db", TESTS[3:5])
    with History(tmp_path / "history.db") as history:
        began_s = BEGAN_S + 30 * 86_400.0
        ended_s = None if status is None else began_s + 5
        history.begin_run(RunRecord("last", began_s, "lab", "nightly", ended_s=ended_s, exit_status=status))
        history.add("last", attempts)

        built = build_nights(Window(history), tmp_path / "report")

    assert built.headline == said
    assert f"<h1>{said}</h1>" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert '<div class="number o-cut">-</div>' in (tmp_path / "report" / "wall.html").read_text("utf-8")


def test_night_page_of_an_empty_history_says_so(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        built = build_nights(Window(history), tmp_path / "out")

    assert (built.runs, "no night is in this history" in built.page.read_text()) == (0, True)


def test_hil_report_prints_the_path_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_nights(tmp_path / "history.db", TESTS[:4])

    status = run(["--json", "report", str(tmp_path / "out"), "--history", str(tmp_path / "history.db")])

    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (status, said["runs"], said["tests"]) == (0, 12, 4)
    assert said["page"] == str(tmp_path / "out" / "index.html")


@pytest.mark.parametrize("named", [".", "report"])
def test_hil_report_writes_a_nights_pages_into_its_report(
    named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_nights(tmp_path / "history.db", TESTS[:4])
    night = tmp_path / "night"
    night.mkdir()
    (night / "night.json").touch()
    command = ["report", "--history", str(tmp_path / "history.db"), str(night / named)]

    assert run(command) == 1
    assert f"there is no run in {night / 'report'}" in capsys.readouterr().err
    assert list(night.iterdir()) == [night / "night.json"]

    keep_run(night / "report", a_test("t::one"))
    assert run(command) == 0
    assert (night / "report" / "index.html").is_file()


def test_hil_report_writes_the_pages_of_a_killed_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(tmp_path, a_test("t::one"), ended_s=None)

    assert run(["report", str(tmp_path)]) == 0
    assert "cut short after 1 test" in capsys.readouterr().out
    assert (tmp_path / "index.html").is_file()


@pytest.mark.parametrize("damage", ["no history", "a file", "damaged run"])
def test_hil_report_errors_have_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    out = tmp_path / "out"
    if damage == "damaged run":
        out.mkdir()
        (out / "run.json").write_text("{")
    if damage == "a file":
        keep_nights(tmp_path / "h.db", TESTS[:1])
        (tmp_path / "taken").write_text("")
        out = tmp_path / "taken" / "out"

    status = run(["report", str(out), "--history", str(tmp_path / "h.db")])

    said = capsys.readouterr().err
    assert (status, "try: " in said, "Traceback" in said) == (1, True, False)


def test_report_imports_neither_driver_nor_simulator() -> None:
    code = "import sys, hil.report.night_pages, hil.report.run_pages; print('hil.sim' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_sparkline_has_a_path_for_each_outcome() -> None:
    drawn = sparkline("ppf.p")

    assert drawn.count("<path") == 2
    assert 'd="M0 10h2M4 10h1"' in drawn
    assert 'aria-label="3 passed, 1 failed"' in drawn


def test_outcome_letters_show_a_pass_after_a_failure_as_flaky() -> None:
    assert (
        outcome_letters({0: MatrixCell(0, 0, 1), 2: MatrixCell(0, 1, 1), 3: MatrixCell(1, 2, 1)}, 4) == "p.kf"
    )
    assert tally("..") == "never run"
