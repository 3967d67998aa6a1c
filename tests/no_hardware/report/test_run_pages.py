"""The pages of a run: their content, and that foreign text never becomes part of a page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.evidence.records import file_stem, part_name
from hil.evidence.used_board import UsedBoard
from hil.report.run_pages import build_run
from tests.support.made_up import (
    BEGAN_S,
    BOARD,
    HOSTILE,
    HOSTILE_DUT,
    a_test,
    attempt,
    keep_console,
    keep_power,
    keep_run,
)

if TYPE_CHECKING:
    from pathlib import Path

NAME = "tests/test_a.py::test_one"
ALLOWED = {"script", "style"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def build(folder: Path) -> dict[str, str]:
    build_run(folder)
    return {str(path.relative_to(folder)): path.read_text() for path in folder.glob("**/*.html")}


def test_run_page_shows_failures_first(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test("t::ok"), a_test("t::bad", attempt("failed", "one is not two")))

    page = Page(build(tmp_path)["index.html"]).text

    assert page.index("1 of 2 tests needs a look") < page.index("one is not two") < page.index("All tests")
    assert "on bench 3" in page
    assert f"bench 3 ({BOARD})" in page


def test_run_page_of_one_test_counts_it_in_the_singular(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME, attempt("failed", "no luck")))

    assert "1 of 1 test needs a look" in build(tmp_path)["index.html"]


def test_test_page_links_the_whole_console_of_a_failure_and_names_its_board(tmp_path: Path) -> None:
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "one.txt").write_text("all lines\n")
    text = "  +1.0 | the last line\n(all of it: /on/another/machine/console/one.txt)"
    failed = replace(attempt("failed", "no luck"), sections=[(f"DUT console of board {BOARD}", text)])
    keep_run(tmp_path, a_test(NAME, failed))

    page = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    assert f"<summary>DUT console of board bench 3 ({BOARD})</summary>" in page
    assert '<a href="../console/one.txt">The whole console as text</a>' in page
    assert "/on/another/machine" not in page


def test_pages_of_a_night_link_to_the_test_among_all_nights(tmp_path: Path) -> None:
    folder = tmp_path / "2027-01-26T080000Z" / "report"
    folder.parent.mkdir()
    (folder.parent / "night.json").write_text("{}")
    keep_run(folder, a_test(NAME))

    page = build(folder)[f"tests/{file_stem(NAME)}.html"]

    assert 'href="../../../report/index.html#find=tests%2Ftest_a.py%20test_one"' in page


def test_board_page_draws_no_lane_of_another_board(tmp_path: Path) -> None:
    partner = UsedBoard("0df10099", "0.09", "bench 9", simulated=True)
    keep_run(tmp_path, replace(a_test(NAME), partners=[partner]))

    pages = build(tmp_path)

    assert "boards/0df10099.html" in pages["index.html"]
    assert "boards/0df10099.html" not in pages[f"boards/{BOARD}.html"].partition("<h2>Tests</h2>")[0]


def test_timeline_has_its_lanes_by_the_names_of_boards(tmp_path: Path) -> None:
    named = {"5a": "jetson-10", "5b": "jetson-2", "5c": "alder"}
    tests = [
        replace(a_test(f"t::{serial}"), board=UsedBoard(serial, name=name)) for serial, name in named.items()
    ]
    keep_run(tmp_path, *tests)

    lanes = build(tmp_path)["index.html"].partition('class="panel lanes"')[2].partition("</ul>")[0]

    assert re.findall(r">([a-z-]+\d*)</a>", lanes) == ["alder", "jetson-2", "jetson-10"]


def test_test_page_shows_its_image(tmp_path: Path) -> None:
    keep_run(tmp_path, replace(a_test(NAME), image="dut-v2.1.img (512 bytes, 3f1c8a40b2de)"))

    page = Page(build(tmp_path)[f"tests/{file_stem(NAME)}.html"]).text

    assert "dut-v2.1.img (512 bytes, 3f1c8a40b2de)" in page


def test_run_page_and_summary_show_first_and_last_error(tmp_path: Path) -> None:
    attempts = attempt("failed", "no login prompt came"), attempt("failed", "the stick did not come", 2)
    keep_run(tmp_path, a_test("tests/test_boot.py::test_boots", *attempts))

    pages = build(tmp_path)

    for page in (pages["index.html"], (tmp_path / "summary.md").read_text(encoding="utf-8")):
        places = [page.index(text) for text in ("first: ", "no login prompt", "last: ", "the stick did not")]
        assert places == sorted(places)
    assert "error in set-up or tear-down" in pages["index.html"], "each colour is in the legend"


def test_run_page_times_are_in_the_readers_zone(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))

    pages = build(tmp_path)

    for name in ("index.html", f"tests/{file_stem(NAME)}.html"):
        assert re.search(r'<time datetime="[\dT:-]+Z">[\d: -]+ UTC</time>', pages[name]), name


def test_run_pages_have_one_for_each_test_and_board(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test("t::ok"), a_test("t::bad", attempt("failed", "no")))

    pages = build(tmp_path)

    wanted = {f"tests/{file_stem(name)}.html" for name in ("t::ok", "t::bad")}
    assert set(pages) == {"index.html", f"boards/{BOARD}.html", *wanted}


def test_run_pages_have_no_broken_link(tmp_path: Path) -> None:
    keep_run(
        tmp_path, a_test(NAME), a_test(HOSTILE, attempt("failed", HOSTILE)), a_test("t::plain", board="")
    )
    keep_console(tmp_path, NAME, b"hello\n")
    keep_power(tmp_path, NAME)

    for name, text in build(tmp_path).items():
        links = [value for key, value in Page(text).attributes if key == "href" and value]
        missing = [
            one
            for one in links
            if not one.startswith("#") and not (tmp_path / name).parent.joinpath(one).exists()
        ]
        assert (name, missing) == (name, [])


@given(foreign=st.text(max_size=60))
def test_run_pages_escape_foreign_text(tmp_path_factory: pytest.TempPathFactory, foreign: str) -> None:
    harmless, folder = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    for where, text in ((harmless, "x"), (folder, foreign or "x")):
        keep_run(where, a_test("t::one", attempt("failed", text)), a_test(NAME))
        keep_console(where, NAME, text.encode(errors="replace") * 3, [(101.0, text)])
        keep_power(where, NAME)

    shapes = [{name: shape(text) for name, text in build(where).items()} for where in (harmless, folder)]

    assert shapes[0].keys() == shapes[1].keys()
    assert all(shapes[0][name] == shapes[1][name] for name in shapes[0])


def shape(text: str) -> set[str]:
    return set(Page(text).tags) | {name for name, _ in Page(text).attributes}


def test_run_pages_show_hostile_output_harmlessly(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(HOSTILE, attempt("failed", HOSTILE)))
    keep_console(tmp_path, HOSTILE, HOSTILE_DUT, [(101.0, HOSTILE)])
    keep_power(tmp_path, HOSTILE)

    for text in build(tmp_path).values():
        page = Page(text)
        assert page.tags.count("script") == page.tags.count("style") == 1
        assert "img" not in page.tags
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text)


def test_test_page_cuts_a_huge_line_and_names_the_file(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_console(tmp_path, NAME, b"boot\n" + b"A" * 10_000_000 + b"\nlogin: ")

    text = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    assert len(text) < 100_000
    assert all(word in text for word in ("boot", "login: ", "bytes are left out here", f"run-{BOARD}.raw"))


def test_run_page_policy_allows_only_its_own_style_and_script(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))

    contents = [
        value or "" for name, value in Page(build(tmp_path)["index.html"]).attributes if name == "content"
    ]

    assert contents[0].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in contents[0]


def test_run_pages_refer_to_nothing_on_a_network(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))

    for text in build(tmp_path).values():
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_test_page_shows_console_lines_with_times_and_marks(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_console(tmp_path, NAME, b"U-Boot 2026\r\nlogin: ", [(100.26, "power on")])
    keep_power(tmp_path, NAME)

    text = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    assert '<li class="l-dut" data-t="0.000"><span>0.000</span><span>U-Boot 2026</span></li>' in text
    assert '<li class="l-mark" data-t="0.010"><span>0.010</span><span>power on</span></li>' in text
    assert '<g class="mark"><title>power on</title>' in text


def test_test_page_names_the_place_of_its_console_in_the_raw_file(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_console(tmp_path, "t::earlier", b"x" * 5000)
    keep_console(tmp_path, NAME, b"U-Boot 2026\r\n", before=b"early")

    page = Page(build(tmp_path)[f"tests/{file_stem(NAME)}.html"])

    assert ("href", f"../console/run-{BOARD}.raw") in page.attributes
    assert "raw log, 18 bytes from its byte 5,000" in " ".join(page.text.split())


def test_test_page_starts_a_line_where_the_test_begins(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_console(tmp_path, NAME, b"reboot\r\n", before=b"boot> ")

    text = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    lines = re.findall(r'l-(dut|neighbour)"[^>]*><span>[^<]*</span><span>([^<]*)<', text)
    assert lines == [("neighbour", "boot&gt; "), ("dut", "reboot")]


def test_power_plot_leaves_out_the_marks_of_the_test_itself(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_console(tmp_path, NAME, b"U-Boot 2026\r\n", [(100.27, "power on")])
    keep_power(tmp_path, NAME)

    text = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    assert re.findall('<g class="mark"><title>([^<]*)</title>', text) == ["power on"]


def test_run_page_of_a_killed_run_says_so(tmp_path: Path) -> None:
    hung = a_test("t::hung", attempt())
    hung.attempts, hung.ended_s = [], None
    keep_run(tmp_path, a_test("t::ok"), hung, ended_s=None)

    page = Page(build(tmp_path)["index.html"]).text

    assert "cut short after 2 tests" in page
    assert "t::hung" in page.partition("All tests")[0]


def test_build_run_of_an_empty_folder_writes_nothing(tmp_path: Path) -> None:
    assert build_run(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", ["run.json", "console", "power"])
def test_run_pages_are_written_from_incomplete_evidence(tmp_path: Path, lost: str) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_console(tmp_path, NAME, b"hello\n")
    keep_power(tmp_path, NAME)
    for path in [tmp_path / lost, *(tmp_path / lost).glob("*.json*")]:
        if path.is_file():
            path.write_text('{"samples": [{}], "chunks": [[1, 2')

    assert f"tests/{file_stem(NAME)}.html" in build(tmp_path)


def test_test_page_reads_an_incomplete_console_index(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_console(tmp_path, NAME, b"hello\n" * 20)
    index = tmp_path / "console" / f"run-{BOARD}.jsonl"
    index.write_text(index.read_text()[:250])

    assert '<li class="l-dut" data-t="0.000">' in build(tmp_path)[f"tests/{file_stem(NAME)}.html"]


def test_test_page_omits_power_of_an_earlier_run(tmp_path: Path) -> None:
    test = a_test(NAME)
    test.began_monotonic_s = 5000.0
    keep_run(tmp_path, test)
    keep_power(tmp_path, NAME)

    assert 'class="power"' not in build(tmp_path)[f"tests/{file_stem(NAME)}.html"]


def test_test_page_shows_mean_power_while_the_dut_was_on(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME))
    keep_power(tmp_path, NAME)

    text = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    assert "Mean 11.00 W while the DUT was on, peak 12.00 W" in text


def test_test_page_has_a_power_plot_for_each_attempt(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test(NAME, attempt("failed", "cold"), attempt("passed", number=2)))
    keep_power(tmp_path, NAME)
    keep_power(tmp_path, NAME, "-attempt-1")

    text = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    assert text.count('class="power"') == 2
    assert "Attempt 2. Mean" in text


def test_page_of_a_test_with_two_boards_names_both_and_draws_them_on_one_axis(tmp_path: Path) -> None:
    partner = UsedBoard("0df10036", "0.09", "bench 4", role="client", simulated=True)
    server = replace(a_test(NAME).board, role="server")  # type: ignore[type-var]
    keep_run(tmp_path, replace(a_test(NAME), board=server, partners=[partner]))
    keep_power(tmp_path, NAME)
    keep_power(tmp_path, part_name(NAME, "client"))
    later = tmp_path / "power" / f"{file_stem(part_name(NAME, 'client'))}.json"
    later.write_text(later.read_text().replace('"began_s": 100.25', '"began_s": 101.0'))

    text = build(tmp_path)[f"tests/{file_stem(NAME)}.html"]

    begins, ends = (re.findall(rf'data-{end}="([^"]*)"', text) for end in ("begin", "end"))
    assert (begins[0], ends[0]) == (begins[1], ends[1])
    assert f"{NAME} on bench 3 and bench 4</title>" in text
    assert "The boards were simulated ones." in text
    assert "client: bench 4 (0df10036). Mean" in text


def test_timeline_shows_waits_bodies_and_stick_on_host(tmp_path: Path) -> None:
    test = a_test(NAME)
    test.wait_s = 1.0
    for at_s, value in ((1.2, "host"), (2.4, "dut")):
        request = test.requests[0].__class__(100 + at_s, BEGAN_S + at_s, "storage", value, "ok", 0.001)
        test.requests.append(request)
    keep_run(tmp_path, test, a_test("t::other"))

    index = build(tmp_path)["index.html"]

    assert all(f'<rect class="{what}" x=' in index for what in ("wait", "span", "call", "stick"))
