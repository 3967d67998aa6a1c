"""The console of each test on a board is kept, shown where the test fails, and watched."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.evidence.console_slices import RunConsoles
from hil.evidence.records import file_stem
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.evidence.console_slices import ConsoleSlice
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import InnerRun, RunSuite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # runs of the suite
BEGIN = """
import os
import pytest

PANIC = b"Kernel panic - not syncing: x\\n"

def say(console, data):
    '''As if the DUT had said it: what comes from a board goes the same two ways.'''
    console.transcript.append(data)
    console._connection._port.stream.feed(data)
"""
TROUBLE = program(__file__, "console_trouble")


def outcomes(run: InnerRun) -> dict[str, str]:
    return {name: outcome.result for name, outcome in run.outcomes.items()}


def console_of(folder: Path, test: str) -> ConsoleSlice:
    """Return the console of a test of `test_inner.py`."""
    console = RunConsoles(folder / "console", "").slice(file_stem(f"test_inner.py::{test}"))
    assert console is not None
    return console


def data_of(folder: Path, test: str) -> bytes:
    """Return the bytes of a test, without those before it."""
    console = console_of(folder, test)
    parts = console.read(0, console.size_bytes)
    return b"".join(data for _, data, is_neighbour in parts if not is_neighbour)


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_trouble_fails_the_test_in_which_it_comes_unless_it_is_expected(
    run_suite: RunSuite, workers: str
) -> None:
    inner = run_suite(BEGIN + TROUBLE, "--hil-boards=sim:1", workers)

    assert outcomes(inner) == {
        "test_panics": "failed",
        "test_comes_behind_it": "passed",
        "test_fails_by_itself": "failed",
        "test_panics_as_is_known": "xfailed",
        "test_fails_and_panics_as_is_known": "xfailed",
        "test_says_by_marker": "passed",
        "test_says_another_word": "failed",
        "test_says_by_waiting_for_it": "passed",
        "test_waits_for_what_comes_later": "failed",
        "test_says_by_a_block": "passed",
        "test_panics_behind_its_block": "failed",
        "test_split_and_coloured": "failed",
        "test_fine_until_its_tear_down": "error",
        "test_panicked_in_its_set_up": "failed",
        "test_uses_no_board": "passed",
    }
    assert "kernel panic: Kernel panic - not syncing: x" in inner.outcomes["test_panics"].message
    assert "of its own" in inner.outcomes["test_fails_by_itself"].message
    assert ": trouble ---" in inner.text


def test_lab_file_adds_patterns_of_trouble(
    run_suite: RunSuite, pytester: pytest.Pytester, simulator: SimulatorProcess, serial: str
) -> None:
    (pytester.path / "lab.toml").write_text(f'[place.p]\nserial = "{serial}"\nwatch = ["EXT4-fs error"]\n')
    source = BEGIN + 'def test_it(console): say(console, b"EXT4-fs error (sda2)\\n")\n'
    boards = f"--hil-boards=sim@{simulator.management.port}"

    without, with_it = (run_suite(source, boards, f"--hil-lab={lab}") for lab in ("none", "lab.toml"))

    assert (outcomes(without), outcomes(with_it)) == ({"test_it": "passed"}, {"test_it": "failed"})


THREE = """
def test_one(console): say(console, b"of one\\n")

def test_two(console, power):
    power.force_on()
    say(console, b"\\x1b]0;evil\\x07of two\\x00\\n")
    assert 0

def test_three(console): say(console, b"of three\\n")
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_each_test_has_its_own_bytes_and_a_failed_one_a_file_for_people(
    run_suite: RunSuite, pytester: pytest.Pytester, workers: str
) -> None:
    inner = run_suite(BEGIN + THREE, "--hil-boards=sim:2", "--hil-report=report", workers)

    report = pytester.path / "report"
    assert data_of(report, "test_one").endswith(b"of one\n")
    assert b"of one" not in data_of(report, "test_three")
    assert b"of two" in data_of(report, "test_two")
    assert "power force-on" in [str(mark) for mark in console_of(report, "test_two").marks]
    run_bytes = b"".join(path.read_bytes() for path in (report / "console").glob("run-*.raw"))
    assert all(words in run_bytes for words in (b"of one", b"of two", b"of three"))
    noted = {name: Path(outcome.properties["hil_console"]) for name, outcome in inner.outcomes.items()}
    assert all(path.is_file() for path in noted.values())
    assert {name: path.suffix for name, path in noted.items()} == {
        "test_one": ".raw",
        "test_two": ".txt",
        "test_three": ".raw",
    }
    assert list((report / "console").glob("*.txt")) == [pytester.path / noted["test_two"]]


def test_second_run_starts_a_new_file_of_the_board(
    run_suite: RunSuite, pytester: pytest.Pytester, simulator: SimulatorProcess, serial: str
) -> None:
    boards = f"--hil-boards=sim@{simulator.management.port}"
    for words in ("first", "second"):
        source = BEGIN + f"def test_{words}(console): say(console, b'{words} run')\n"
        run_suite(source, boards, "--hil-report=report", "-n2")

    said = (pytester.path / "report" / "console" / f"run-{serial}.raw").read_bytes()
    assert (b"first run" in said, b"second run" in said) == (False, True)


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_a_failure_shows_the_last_lines_and_junit_has_them(
    run_suite: RunSuite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.delenv("CI_PROJECT_DIR", raising=False)

    inner = run_suite(BEGIN + THREE, "--hil-boards=sim:1", "--hil-report=report", f"-ojunit_family={family}")

    shown = inner.text.partition("DUT console of board")[2]
    assert r"| \x1b]0;evil\x07of two\x00" in shown
    assert "* power force-on" in shown
    assert ": seconds, | the DUT, * what was done -" in shown
    assert "\x1b]" not in inner.text
    kept = re.search(r"\(all of it: (.*)\)", inner.text)
    assert kept is not None
    assert r"of two\x00" in (pytester.path / kept[1]).read_text()
    (out,) = ET.parse(pytester.path / "inner.xml").iter("system-out")  # noqa: S314 - pytest's own
    assert r"of two\x00" in (out.text or "")
    assert kept[1].startswith("report/console/")
    assert re.match(r"board sim-1 \(\w+\): seconds", out.text or "")
    assert f"[[ATTACHMENT|{pytester.path / kept[1]}]]" in (out.text or "")


@pytest.mark.parametrize("project", [".", "elsewhere"], ids=["below", "beside"])
def test_attachment_is_relative_to_the_project_of_gitlab(
    run_suite: RunSuite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, project: str
) -> None:
    monkeypatch.setenv("CI_PROJECT_DIR", str(pytester.path / project))

    inner = run_suite(BEGIN + THREE, "--hil-boards=sim:1", "--hil-report=report")

    kept = re.search(r"\(all of it: (.*)\)", inner.text)
    assert kept is not None
    (out,) = ET.parse(pytester.path / "inner.xml").iter("system-out")  # noqa: S314 - pytest's own
    shown = kept[1] if project == "." else pytester.path / kept[1]
    assert f"[[ATTACHMENT|{shown}]]" in (out.text or "")


EVIL = program(__file__, "console_evil")


def test_what_tests_print_and_raise_of_a_dut_is_safe_in_terminal_junit_and_folder(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    inner = run_suite(BEGIN + EVIL, "--hil-boards=sim:1", "--hil-report=report", "-rA")

    pages = [path.read_bytes() for path in (pytester.path / "report").rglob("*") if path.suffix in SHOWN]
    written = [inner.text.encode(), (pytester.path / "inner.xml").read_bytes(), *pages]
    assert inner.text.count("said") >= 5
    assert [
        found for text in written for found in re.findall(rb"[\x00-\x08\x0b-\x1f]|\xe2\x80\xae", text)
    ] == []


SHOWN = {".html", ".json", ".md", ".txt"}


def test_without_a_report_the_console_of_a_failed_test_is_in_the_cache(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    inner = run_suite(BEGIN + THREE, "--hil-boards=sim:1")
    with_cache = pytester.runpytest_subprocess("--hil-boards=sim:1", "-p", "no:asyncio")

    kept = re.search(r"\(all of it: (.*)\)", with_cache.stdout.str())
    assert kept is not None
    assert r"of two\x00" in (pytester.path / kept[1]).read_text()
    assert "run with --hil-report DIR to keep all of it" in inner.text


def test_a_folder_that_cannot_be_made_fails_no_test_and_is_told(
    run_suite: RunSuite,
) -> None:
    since_it_began = "import shutil\nshutil.rmtree('report')\nopen('report', 'w').close()\n"

    inner = run_suite(
        since_it_began + BEGIN + "def test_one(console): say(console, b'x')\n",
        "--hil-boards=sim:1",
        "--hil-report=report",
    )

    assert (outcomes(inner), inner.status) == ({"test_one": "passed"}, 0)
    assert "NOT KEPT" in inner.text
    assert "NOT MADE SAFE" not in inner.text


def test_trouble_between_two_tests_is_told_at_the_end(run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    kept = (pytester.path / "conftest.py").read_text()
    hook = """

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    result = yield
    if item.name == "test_one":
        board = plugin.run_of(item.config).boards.usable_board()
        board.console.transcript.append(b"Kernel panic - so late\\n")
    return result
"""
    pytester.makeconftest(kept + hook)
    two = "def test_one(console): pass\ndef test_two(console): pass\n"

    inner = run_suite(two, "--hil-boards=sim:1", "-n1")

    assert outcomes(inner) == {"test_one": "passed", "test_two": "passed"}
    assert re.search(
        r"between \S+test_one and \S+test_two, board sim-1 \(\w+\): kernel panic: .* so late", inner.text
    )


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_trouble_after_the_last_test_is_told_at_the_end(
    run_suite: RunSuite, pytester: pytest.Pytester, workers: str
) -> None:
    hook = """
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    result = yield
    board = plugin.run_of(item.config).boards.usable_board()
    if board is not None:
        board.console.transcript.append(b"Kernel panic - at last\\n")
    return result
"""
    pytester.makeconftest((pytester.path / "conftest.py").read_text() + hook)

    inner = run_suite("def test_only(console): pass\n", "--hil-boards=sim:1", workers)

    assert outcomes(inner) == {"test_only": "passed"}
    assert re.search(r"after \S+test_only, board sim-1 \(\w+\): kernel panic: .* at last", inner.text)


def test_all_attempts_of_a_test_are_in_its_files(run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    source = """
def test_one(console):
    say(console, b"attempt\\n")
    assert 0
"""
    inner = run_suite(BEGIN + source, "--hil-boards=sim:1", "--hil-report=report", "--hil-repeat=1")

    assert outcomes(inner) == {"test_one": "failed"}
    assert data_of(pytester.path / "report", "test_one").count(b"attempt\n") == 2
    (text,) = (pytester.path / "report" / "console").glob("*.txt")
    assert text.read_text().count("| attempt") == 2
