"""The report as a browser shows it: opened from files, with no network, by hand and by keyboard."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from hil.evidence.records import file_stem
from hil.history.store import History
from hil.history.window import Window
from hil.report.night_pages import build_nights
from hil.report.run_pages import build_run
from tests.support.made_up import (
    BOARD,
    HOSTILE,
    HOSTILE_DUT,
    a_test,
    attempt,
    keep_console,
    keep_nights,
    keep_numbers,
    keep_power,
    keep_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.evidence.records import RecordedTest

pytestmark = pytest.mark.no_hardware
NAME = "tests/test_boot.py::test_boots"
PLACES = [f"jetson-{number}" for number in range(9)]
NIGHTS = [f"tests/test_{n % 7}.py::test_does_{n}" for n in range(60)]
BOOT = b"".join(b"[%8.3f] line %d of the boot log\r\n" % (n / 100, n) for n in range(900)) + b"dut login: "


def on_board(place: str, outcome: str) -> RecordedTest:
    """A test that runs on each board."""
    test = a_test(f"tests/test_dut.py::test_{outcome}[{place}-fast]", attempt(outcome))
    return replace(test, column=place)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a run with all that pages can have."""
    folder = tmp_path_factory.mktemp("run")
    tests = [
        a_test(NAME),
        a_test("t::bad", attempt("failed", "one is not two")),
        a_test("t::plain", board=""),
    ]
    tests += [a_test(HOSTILE, attempt("failed", HOSTILE)), a_test("t::long")]
    tests += [a_test(f"t::more_{n}", attempt("skipped" if n % 3 else "passed")) for n in range(40)]
    tests += [a_test("t::flaky", attempt("failed", "cold"), attempt("passed", number=2))]
    keep_run(folder, *tests, key="k1")
    keep_console(folder, NAME, BOOT, [(100.3, "power on"), (101.4, "power force-off")])
    keep_console(folder, HOSTILE, HOSTILE_DUT * 5, [(101.0, HOSTILE)])
    keep_console(folder, "t::long", b"x" * 10_000_000)
    for name in (NAME, HOSTILE):
        keep_power(folder, name)
    build_run(folder)
    return folder


@pytest.fixture(scope="session")
def each(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a run in which each test runs on each board."""
    outcomes = ("passed", "failed", "skipped")
    tests = [on_board(place, outcome) for place in PLACES for outcome in outcomes]
    folder = keep_run(tmp_path_factory.mktemp("each"), *tests)
    build_run(folder)
    return folder


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of sixty nights of which the newest is kept."""
    folder = tmp_path_factory.mktemp("nights")
    tests = [*NIGHTS, f"tests/test_9.py::test[{HOSTILE}]"]
    keep_nights(folder / "history.db", tests, 60, failing_since=57)
    keep_run(folder / "newest", *(a_test(name, run="n59") for name in tests), key="n59")
    with History(folder / "history.db") as history:
        build_nights(Window(history), folder / "report", [folder])
    return folder / "report"


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of thirty nights in which tests measured numbers."""
    folder = tmp_path_factory.mktemp("numbers")
    keep_numbers(folder / "history.db")
    with History(folder / "history.db") as history:
        build_nights(Window(history), folder / "report")
    return folder / "report"


def test_page(run: Path, name: str) -> Path:
    return run / "tests" / f"{file_stem(name)}.html"


test_page.__test__ = False  # type: ignore[attr-defined]


PAGES = [
    "run",
    "tests by boards",
    "board",
    "test",
    "hostile",
    "nights",
    "test over the nights",
    "board over the nights",
    "numbers",
    "numbers of a test",
]


@pytest.fixture
def path_of(run: Path, each: Path, nights: Path, numbers: Path) -> Callable[[str], Path]:
    return {
        "run": run / "index.html",
        "tests by boards": each / "boards.html",
        "board": run / "boards" / f"{BOARD}.html",
        "test": test_page(run, NAME),
        "hostile": test_page(run, HOSTILE),
        "nights": nights / "index.html",
        "test over the nights": nights / "tests" / f"{file_stem(NIGHTS[0])}.html",
        "board over the nights": nights / "boards" / "0df10031.html",
        "numbers": numbers / "numbers.html",
        "numbers of a test": numbers / "tests" / f"{file_stem('t.py::test_boot[place-0]')}.html",
    }.__getitem__


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(show: Any, path_of: Any, name: str, scheme: str) -> None:
    page = show(path_of(name), scheme=scheme)

    violations = Axe().run(page).response["violations"]

    serious = [one for one in violations if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_phone(show: Any, path_of: Any, name: str) -> None:
    page = show(path_of(name), width=390)

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_tests_by_boards_hide_no_column_on_a_phone(show: Any, each: Path) -> None:
    page = show(each / "boards.html", width=390)

    cells = page.locator(".by-boards tbody td:has(a)")
    boxes = [cells.nth(at).bounding_box() for at in range(cells.count())]
    assert len(boxes) == 3 * len(PLACES)
    assert all(box["x"] + box["width"] <= 390 for box in boxes)


def test_messages_of_a_test_over_the_nights_are_in_sight_on_a_phone(show: Any, nights: Path) -> None:
    page = show(nights / "tests" / f"{file_stem(NIGHTS[0])}.html", width=390)

    said = page.locator("td.wide", has_text="pwned").first.bounding_box()
    assert said["x"] + said["width"] <= 390


def test_a_plot_of_numbers_shows_its_newest_night_on_a_phone(show: Any, numbers: Path) -> None:
    page = show(numbers / "numbers.html", width=390)

    part = page.locator(".over-nights").first
    assert part.evaluate("part => part.scrollWidth > part.clientWidth")
    assert part.evaluate("part => part.scrollLeft + part.clientWidth >= part.scrollWidth - 1")


def test_a_link_to_a_test_among_all_nights_finds_it(show: Any, nights: Path) -> None:
    page = show(nights / "index.html")
    page.goto(f"{page.url}#find=tests%2Ftest_3.py%20test_does_10")
    page.reload()

    assert page.locator(".matrix tbody tr[data-o]:visible").count() == 1


@pytest.mark.parametrize("name", ["hostile", "run", "nights", "numbers"])
def test_what_a_dut_or_a_name_says_does_nothing(show: Any, path_of: Any, name: str) -> None:
    page = show(path_of(name))

    assert page.evaluate("window.pwned") is None
    assert page.locator("script").count() == page.locator("style").count() == 1
    assert page.locator("img").count() == 0


def test_a_script_that_got_into_a_page_would_not_run(show: Any, run: Path, tmp_path: Path) -> None:
    text = (run / "index.html").read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("</main>", "<script>window.pwned = 1</script></main>"))
    page = show(broken, expect="Content Security Policy")

    assert page.evaluate("window.pwned") is None


def test_the_button_changes_the_colours_and_they_stay(show: Any, run: Path) -> None:
    page = show(run / "index.html")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()

    assert light == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark != light
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_without_a_choice_the_system_chooses_the_colours(show: Any, nights: Path) -> None:
    page = show(nights / "index.html", scheme="dark")
    page.evaluate("localStorage.clear()")
    page.reload()

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"


def test_a_slash_finds_tests_by_words_and_by_outcome(show: Any, run: Path) -> None:
    page = show(run / "index.html")
    page.keyboard.press("/")
    page.keyboard.type("more_3 t::")

    assert page.locator("tbody tr[data-o]:visible").count() == 11
    page.select_option("#kind", "passed")
    assert page.inner_text("#found") == "5 of 46 tests"


def test_a_bar_of_the_timeline_leads_to_its_test(show: Any, run: Path) -> None:
    page = show(run / "index.html")
    bars = page.locator(".lanes svg a")

    assert bars.count() == 46
    bars.first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/tests/*.html")


def test_the_matrix_says_what_is_under_the_pointer_and_opens_it(show: Any, nights: Path) -> None:
    page = show(nights / "index.html")
    strip = page.locator(".matrix tbody tr[data-o] .strip").first
    box = strip.bounding_box()
    strip.hover(position={"x": box["width"] - 3, "y": 5})

    assert "failed on 0df1003" in page.inner_text("#tip")
    strip.click(position={"x": box["width"] - 3, "y": 5})
    page.wait_for_url("**/newest/tests/*.html")


def test_the_matrix_is_read_and_opened_by_the_keyboard(show: Any, nights: Path) -> None:
    page = show(nights / "index.html")
    page.keyboard.press("m")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")

    assert "failed on 0df1003" in page.inner_text("#tip")
    page.keyboard.press("Enter")
    page.wait_for_url("**/newest/tests/*.html")


def test_the_matrix_is_sifted_by_what_fails_now(show: Any, nights: Path) -> None:
    page = show(nights / "index.html")
    page.select_option("#kind", "failing")

    assert page.locator(".matrix tbody tr[data-o]:visible").count() == 1
    assert page.locator(".matrix section:visible").count() == 1


def test_the_console_is_searched_forwards_and_backwards(show: Any, run: Path) -> None:
    page = show(test_page(run, NAME))
    page.keyboard.press("/")
    page.keyboard.type("line 77")

    assert page.inner_text("#hits") == "1 of 11 lines"
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    assert page.inner_text("#hits") == "11 of 11 lines"
    assert page.locator(".log .now").is_visible()
    page.check("#only")
    assert page.locator(".log li:visible").count() == 11


def test_plot_and_console_show_the_same_moment(show: Any, run: Path) -> None:
    page = show(test_page(run, NAME))
    page.locator(".log li", has_text="line 500 ").hover()

    assert page.locator("svg.power .cursor").get_attribute("visibility") == "visible"
    page.locator("svg.power").click(position={"x": 200, "y": 100})
    assert page.locator(".log .now").count() == 1
    assert page.locator("svg.power .mark title").all_text_contents() == ["power on", "power force-off"]


def test_a_console_of_ten_megabytes_without_a_line_end_is_a_page_like_others(show: Any, run: Path) -> None:
    page = show(test_page(run, "t::long"))

    assert page.evaluate("document.querySelector('.log').textContent.length") < 10_000
    assert "bytes are left out here" in page.inner_text(".log")


def test_pages_read_without_any_script(browser: Any, nights: Path, run: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((nights / "index.html").resolve().as_uri())
    assert page.locator(".matrix tbody tr[data-o]").count() == len(NIGHTS) + 1
    page.goto(test_page(run, NAME).resolve().as_uri())
    assert page.locator(".log li").count() > 900
    context.close()


def test_five_thousand_tests_of_sixty_nights_load_and_sift(
    show: Any, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    names = [f"tests/area_{n % 40}/test_part.py::test_the_dut_does_{n}[{n % 7}]" for n in range(5000)]
    keep_nights(tmp_path / "h.db", names, 60)
    with History(tmp_path / "h.db") as history:
        build_nights(Window(history), tmp_path / "out")

    page = show(tmp_path / "out" / "index.html")
    loaded_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    sifted_ms = page.evaluate(
        "(() => { const began = performance.now(), find = document.querySelector('#find');"
        "find.value = 'does_4999'; find.dispatchEvent(new Event('input'));"
        "return performance.now() - began; })()"
    )

    size = (tmp_path / "out" / "index.html").stat().st_size
    told = f"5,000 tests x 60 nights, {size / 1e6:.1f} MB: loaded in {loaded_ms:.0f} ms, "
    told += f"sifted in {sifted_ms:.0f} ms"
    tell(told)
    assert page.locator(".matrix tbody tr[data-o]:visible").count() == 1
    assert loaded_ms < 20_000  # hung, on any machine; the goal of 2,000 is what is told
