"""Pages of runs whose evidence hil of November 2026 wrote, with console files of its own for each test.

`older/two_boards` is a run of three tests on two simulated boards with one repetition. In `older/killed` the
test killed the process of the run. `older/each_board` are four tests of a run with an image on each of two
boards. Files only for people (`.txt`, `.svg`) and pages are left out.
"""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest

from hil.report.run_pages import build_run
from hil.report.run_view import read_run

OLDER = Path(__file__).parent / "older"
OPENING = [
    "",
    "Exiting console mode",
    "#> meter off",
    "Power monitor disabled",
    "#> console",
    "Entering console mode, type CTRL+B 5 times to exit",
]
"""Output of a board while its console is opened."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(OLDER, tmp_path / "runs")
    return tmp_path / "runs"


def console_of(run: Path, test: str) -> list[str]:
    """Return the console's lines on a test's page; the first letter is the kind of the line."""
    build_run(run)
    (page,) = (run / "tests").glob(f"*{test}-*.html")
    lines = re.findall(r'<li class="l-(\w)[^>]*><span>[^<]*</span><span>([^<]*)</span>', page.read_text())
    return [f"{kind} {html.unescape(text)}" for kind, text in lines]


def test_page_of_an_older_run_shows_what_came_before_the_test(folder: Path) -> None:
    assert console_of(folder / "two_boards", "test_boots") == [
        *(f"n {line}" for line in OPENING),
        "m test begins: test_boots.py::test_boots",
        "m power force-on",
        "d ",
        "d hil boot ROM 1.0",
        "m test ends: test_boots.py::test_boots",
    ]


def test_page_of_an_older_run_shows_every_attempt(folder: Path) -> None:
    shown = console_of(folder / "two_boards", "test_fails")

    assert shown[-6:] == [
        "m test ends: test_boots.py::test_fails",
        "n between two tests",
        "m test begins again: test_boots.py::test_fails",
        "d of one try",
        r"d red \xff\x00",
        "m test ends: test_boots.py::test_fails",
    ]
    assert shown.count(r"d red \xff\x00") == 2


def test_page_of_an_older_run_shows_the_consoles_of_both_boards(folder: Path) -> None:
    shown = console_of(folder / "two_boards", "test_link")

    for role in ("server", "client"):
        assert [line for line in shown if f" {role}: " in line and "test" not in line] == [
            *(f"n {role}: {line}" for line in OPENING),
            f"d {role}: of {role}",
            f"m {role}: power force-on",
            f"d {role}: ",
            f"d {role}: hil boot ROM 1.0",
            f"d {role}: sda: no stick",
            f"d {role}: Press Enter to try again.",
            f"d {role}: boot> ",
        ]


def test_page_of_an_older_killed_run_shows_the_console_up_to_its_end(folder: Path) -> None:
    shown = console_of(folder / "killed", "test_dies")

    assert shown == [f"d {line}" for line in [*OPENING, "last words"]]


def test_read_run_reads_the_boards_of_an_older_run() -> None:
    run = read_run(OLDER / "each_board")

    assert run is not None
    assert [(one.label, one.health.firmware, one.health.state) for one in run.boards] == [
        ("sim-1 (eba90b6d)", "0.09", "safe"),
        ("sim-2 (9bd73246)", "0.09", "safe"),
    ]
    assert (run.record.kind, run.record.commit, run.is_simulated) == ("nightly", "c0ffee", True)
    assert run.record.planned == {"hardware": 8, "no_hardware": 2}


def test_read_run_reads_the_attempts_of_an_older_run() -> None:
    run = read_run(OLDER / "each_board")

    assert run is not None
    assert [(one.nodeid, one.outcome, [board.name for board in one.boards]) for one in run.tests] == [
        ("test_broken.py", "error", []),
        ("test_boots.py::test_boots[sim-1]", "passed", ["sim-1"]),
        ("test_boots.py::test_second_time[sim-1]", "flaky", ["sim-1"]),
        ("test_link.py::test_link", "passed", ["sim-1", "sim-2"]),
    ]
    broken, boots, second_time, link = run.tests
    assert broken.last.message.startswith("could not be collected: ModuleNotFoundError")
    assert list(map(str, boots.last.numbers)) == ["boot is 12.5 s, must be below 20 s"]
    assert [(one.number, one.outcome, one.message) for one in second_time.attempts] == [
        (1, "failed", "AssertionError: assert (False or 0)"),
        (2, "passed", ""),
    ]
    assert [phase.name for phase in second_time.last.phases] == ["setup", "call", "teardown"]
    assert [board.role for board in link.boards] == ["0", "1"]
    assert link.image == "v2.img (100000 bytes, 73d2b10b88ae)"
