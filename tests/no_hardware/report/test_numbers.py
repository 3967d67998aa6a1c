"""The page of numbers: a plot for each, with boards, limits, commits and drifts; and where it is linked."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from hil.cli.main import run
from hil.evidence.measurement import Measurement
from hil.evidence.records import RecordedAttempt, RunRecord, file_stem
from hil.evidence.used_board import UsedBoard
from hil.history.nights import day_of
from hil.history.numbers.series import NumberPoint, NumberSeries
from hil.history.schema import AttemptOutcome
from hil.history.store import History
from hil.history.window import Window
from hil.report import number_plot, numbers
from hil.report.night_pages import build_nights
from hil.report.run_pages import build_run
from tests.no_hardware.report.test_run_pages import Page
from tests.support.made_up import BEGAN_S, DAY_S, a_test, attempt, keep_nights, keep_numbers, keep_run, tried

if TYPE_CHECKING:
    from pathlib import Path

BOOT = "t.py::test_boot"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages."""
    folder = tmp_path_factory.mktemp("numbers")
    keep_numbers(folder / "h.db")
    with History(folder / "h.db") as history:
        build_nights(Window(history), folder / "report")
    return folder / "report"


def test_first_page_names_what_drifted_and_links_to_its_plot(built: Path) -> None:
    page = Page((built / "index.html").read_text())

    assert "Numbers that drifted" in page.text
    assert re.search(r"boot rose since 2027-02-04, 12.1 s became 16\.?\d* s \(\+3\d", page.text)
    assert "on both boards, at commit bbbbbbbbbb (before: aaaaaaaaaa)" in page.text
    (link,) = [value for name, value in page.attributes if value and value.startswith("numbers.html#")]
    anchors = [value for name, value in Page((built / "numbers.html").read_text()).attributes if name == "id"]
    assert link.partition("#")[2] in anchors


def test_plot_has_a_line_for_each_board(built: Path) -> None:
    page = (built / "numbers.html").read_text()

    assert page.count('<polyline class="number"') == 4
    assert page.count("<circle") == 2 * 2 * 30 + 4  # a spot for each value, and the boards' legend


def test_plot_names_the_board_of_a_spot_as_its_table_does(built: Path) -> None:
    page = (built / "numbers.html").read_text()

    assert "<title>16.2 s, 2027-02-13, place-0 (0df10030)" in page


def test_plot_marks_limits_commits_and_drift(built: Path) -> None:
    boot = (built / "numbers.html").read_text().partition("</section>")[0]

    assert '<path class="limit"' in boot
    assert "2027-02-04: commit bbbbbbbbbb" in boot
    assert "from here: +3" in boot
    assert boot.count("breaks its limit") == 2 * 10


def test_numbers_that_drifted_come_first(built: Path) -> None:
    page = Page((built / "numbers.html").read_text()).text

    assert page.index("boot") < page.index("idle")
    assert "1 drifted, 1 breaks a limit now" in page


def test_numbers_page_escapes_names(built: Path) -> None:
    page = Page((built / "numbers.html").read_text())

    assert (page.tags.count("script"), "img" in page.tags) == (1, False)


def test_page_of_a_test_has_the_plots_of_its_numbers(built: Path) -> None:
    page = (built / "tests" / f"{file_stem(f'{BOOT}[place-0]')}.html").read_text()

    assert page.count('<polyline class="number"') == 2
    assert "boot rose since 2027-02-04" in page


def test_numbers_pages_have_no_broken_link(built: Path) -> None:
    for path in built.glob("**/*.html"):
        links = [value for name, value in Page(path.read_text()).attributes if name == "href" and value]
        files = [one.partition("#")[0] for one in links if not one.startswith("#")]
        missing = [one for one in files if not path.parent.joinpath(one).exists()]
        assert (path.name, missing) == (path.name, [])


@pytest.mark.parametrize("simulated", [True, False])
def test_numbers_of_simulated_boards_say_that_times_may_be_scaled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], simulated: bool
) -> None:
    board = UsedBoard("0df10035", "0.09", simulated=simulated)
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("n1", BEGAN_S))
        number = Measurement("boot", 0.48, "s")
        history.add("n1", [tried(BOOT, AttemptOutcome.PASSED, board=board, numbers=[number])])
        build_nights(Window(history), tmp_path / "report")

    run(["history", "--history", str(tmp_path / "h.db"), "numbers"])

    page = (tmp_path / "report" / "numbers.html").read_text(encoding="utf-8")
    said = "of simulated boards; with speed=F"
    assert (said in page, said in capsys.readouterr().out) == (simulated, simulated)


def test_history_without_numbers_has_no_page_of_them(tmp_path: Path) -> None:
    keep_nights(tmp_path / "h.db", ["t.py::test_a"])
    with History(tmp_path / "h.db") as history:
        build_nights(Window(history), tmp_path / "report")

    assert not (tmp_path / "report" / "numbers.html").exists()
    assert "numbers.html" not in (tmp_path / "report" / "index.html").read_text()


def test_numbers_page_lists_those_that_have_no_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_MOST_PLOTS", 4)
    monkeypatch.setattr(numbers, "_MOST_ROWS", 3)
    keep_numbers(tmp_path / "h.db", extra=4)
    with History(tmp_path / "h.db") as history:
        build_nights(Window(history), tmp_path / "report")

    page = Page((tmp_path / "report" / "numbers.html").read_text())
    assert page.tags.count("section") == 3  # two boards of `boot` are one plot
    assert "More numbers" in page.text
    assert "and 3 more" in page.text


def of_two_images(path: Path) -> Path:
    """The pages of nights in which a test measures on two boards, with two images on each."""
    with History(path / "h.db") as history:
        for night in range(3):
            history.begin_run(RunRecord(f"n{night}", BEGAN_S + night * DAY_S))
            history.add(
                f"n{night}",
                [
                    tried(
                        f"{BOOT}[{board}-{image}]",
                        AttemptOutcome.PASSED,
                        board=UsedBoard(f"5100000{board[-1]}", "0.09", board),
                        image=image,
                        numbers=(Measurement("boot", seconds, "s", 20.0),),
                        column=f"{board}-{image}",
                    )
                    for board in ("left-1", "left-2")
                    for image, seconds in (("rack-v2.0.img", 12.0), ("rack-v2.1.img", 18.0))
                ],
            )
        build_nights(Window(history), path / "report")
    return path / "report" / "numbers.html"


def test_plot_has_a_line_for_each_board_and_image(tmp_path: Path) -> None:
    page = of_two_images(tmp_path).read_text()

    assert page.count('<polyline class="number"') == 4
    assert "<title>left-1 (51000001), rack-v2.1.img</title>" in page


def test_table_of_a_number_has_a_column_for_images(tmp_path: Path) -> None:
    table = of_two_images(tmp_path).read_text().partition("<table>")[2]

    assert '<th scope="col">image</th>' in table
    assert re.search(r"left-2 \(51000002\)</a></th><td>rack-v2.0.img</td><td class=\"num\">12 s</td>", table)


def test_plot_breaks_a_line_where_runs_measured_nothing() -> None:
    runs = [RunRecord(f"n{night}", BEGAN_S + night * DAY_S) for night in range(5)]
    points = [NumberPoint(night, 1.0) for night in (0, 1, 3, 4)]

    drawn = number_plot.draw_numbers(NumberSeries(BOOT, "n", "s", points), runs, [])

    assert drawn.count('<polyline class="number"') == 2


def test_numbers_page_tells_that_the_newest_run_measured_nothing(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        for night in range(2):
            history.begin_run(RunRecord(f"n{night}", BEGAN_S + night * DAY_S))
            values = (Measurement("boot", 12.0, "s"),) if not night else ()
            board = UsedBoard("51000001", "0.09", "left")
            history.add(f"n{night}", [tried(BOOT, AttemptOutcome.PASSED, board=board, numbers=values)])
        build_nights(Window(history), tmp_path / "report")

    day = day_of(BEGAN_S)
    page = (tmp_path / "report" / "numbers.html").read_text()
    assert f"12 s, on {day}: not measured in the newest run" in page
    assert f'<td class="num">12 s, {day}</td>' in page


def test_plot_with_a_limit_has_a_legend_for_it(tmp_path: Path) -> None:
    assert "limit: must be below 20 s" in Page(of_two_images(tmp_path).read_text()).text


@pytest.mark.parametrize("value", [0.0, 1e-9, -5.0, 1e12])
def test_draw_numbers_of_a_constant_draws_a_line(value: float) -> None:
    runs = [RunRecord(f"n{night}", BEGAN_S + night * DAY_S) for night in range(3)]
    points = [NumberPoint(night, value) for night in range(3)]

    drawn = number_plot.draw_numbers(NumberSeries(BOOT, "n", "s", points), runs, [])

    assert "nan" not in drawn
    assert drawn.count("<circle") == 3


@pytest.mark.parametrize("nights", [1, 2, 3, 60])
def test_plot_has_the_date_of_the_newest_night(nights: int) -> None:
    runs = [RunRecord(f"n{night}", BEGAN_S + night * DAY_S) for night in range(nights)]
    points = [NumberPoint(night, 5.0) for night in range(nights)]

    drawn = number_plot.draw_numbers(NumberSeries(BOOT, "n", "s", points), runs, [])

    shown = re.findall(r'<text x="([\d.]+)" [^>]*>(\d{4}-\d\d-\d\d)</text>', drawn)
    places = sorted(float(x) for x, _ in shown)
    assert max(shown, key=lambda one: float(one[0]))[1] == day_of(runs[-1].began_s)
    assert all(after - before >= 90 for before, after in pairwise(places)), "none overlaps another"
    assert places[-1] <= 800 - 35, "the whole date is in the picture"


def test_page_of_a_run_shows_the_numbers_of_each_attempt(tmp_path: Path) -> None:
    first = attempt("failed", "too slow")
    first.numbers = [Measurement("boot", 21.0, "s", 20.0)]
    second: RecordedAttempt = attempt(number=2)
    second.numbers = [Measurement("boot", 0.0125, "s", 20.0)]
    keep_run(tmp_path, a_test("t::one", first, second))

    build_run(tmp_path)

    page = Page((tmp_path / "tests" / f"{file_stem('t::one')}.html").read_text()).text
    assert "21 smust be below 20 s breaks its limit" in page
    assert "12.5 msmust be below 20 s\n" in page
