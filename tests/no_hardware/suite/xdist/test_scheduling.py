"""Scheduling by boards in real xdist runs, with sleeping tests and boards that are lock files."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from hil.dutlink.timing import until
from tests.support.programs import program

LEARNS_WITHIN_S = 30.0
"""Seconds for a worker that its controller does not wait for any more; it learns at once."""

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # real runs of several processes each

CONFTEST = program(__file__, "scheduling_conftest")

MIXED_FILE = """
import time, pytest

@pytest.mark.hardware
@pytest.mark.parametrize("number", range(8))
def test_hardware(number):
    time.sleep(0.03)

@pytest.mark.parametrize("number", range(24))
def test_other(number):
    time.sleep(0.03)
"""


class Suite:
    """A folder of tests with the fake suite, and what its runs have noted."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        pytester.makeconftest(CONFTEST)
        pytester.makeini("[pytest]\n")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
        monkeypatch.setenv(
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
        )  # what isn't needed costs a second for each run
        monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
        self.boards(["a", "one"])

    def boards(self, *infos: list[str]) -> None:
        self._monkeypatch.setenv("FAKE_BOARDS", json.dumps(infos))

    def run(self, source: str, *arguments: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_it=source)
        return self._pytester.runpytest_subprocess("-p", "xdist", *arguments, timeout=60)

    def run_alone(self, source: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_it=source)
        return self._pytester.runpytest_subprocess(timeout=60)

    @property
    def path(self) -> Path:
        return self._pytester.path

    def noted(self, key: str) -> list[dict[str, str]]:
        lines = (json.loads(line) for line in self.path.joinpath("log").read_text().splitlines())
        return [line for line in lines if key in line]

    def workers(self, name: str) -> set[str]:
        return {line["worker"] for line in self.noted("test") if f"::{name}" in line["test"]}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    return Suite(pytester, monkeypatch)


def test_hardware_tests_go_to_the_one_worker_that_holds_the_board(suite: Suite) -> None:
    suite.run(MIXED_FILE, "-n", "3").assert_outcomes(passed=32)

    assert len(suite.workers("test_hardware")) == 1
    assert len(suite.workers("test_other") - suite.workers("test_hardware")) == 2


def test_two_boards_serve_two_workers(suite: Suite) -> None:
    suite.boards(["a", "one"], ["b", "two"])
    suite.run(MIXED_FILE, "-n", "3").assert_outcomes(passed=32)

    assert len(suite.workers("test_hardware")) == 2
    assert Counter(line["board"] for line in suite.noted("test"))["a"] in range(2, 7)


def test_no_worker_waits_for_a_board_of_its_own_run(suite: Suite) -> None:
    suite.boards(["a", "one"], ["b", "two"])
    suite.run(MIXED_FILE, "-n", "3")

    assert all(line["waited_s"] < 0.02 for line in suite.noted("got"))


def test_a_board_is_given_back_right_after_the_last_hardware_test(suite: Suite) -> None:
    suite.run(MIXED_FILE, "-n", "2")

    assert [line["gave_back"] for line in suite.noted("gave_back")] == ["a"]
    lines = suite.path.joinpath("log").read_text().splitlines()
    (end,) = (number for number, line in enumerate(lines) if "gave_back" in line)
    assert not any('"board": "a"' in line for line in lines[end:])
    assert any("test_other" in line for line in lines[end:])


@pytest.mark.parametrize("stop", ["-x", "--maxfail=2"])
def test_run_that_stops_early_tells_what_failed(suite: Suite, stop: str) -> None:
    failing = MIXED_FILE.replace("time.sleep(0.03)", "assert time.sleep(0.01) or number < 4")
    ran = suite.run(failing, "-n", "2", stop)

    ran.stdout.fnmatch_lines(["FAILED test_it.py::*", "*stopping after * failures*"])
    ran.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert ran.ret == pytest.ExitCode.INTERRUPTED


def test_a_single_worker_runs_all_and_gives_the_board_back(suite: Suite) -> None:
    suite.run(MIXED_FILE, "-n", "1").assert_outcomes(passed=32)

    assert len(suite.noted("gave_back")) == 1


def test_tags_and_names_choose_the_board(suite: Suite) -> None:
    suite.boards(["a", "one", "wifi"], ["b", "two"])
    source = program(__file__, "scheduling_tags_and_names")
    suite.run(source, "-n", "3").assert_outcomes(passed=9)

    boards = {(line["test"].split("::")[1][:8], line["board"]) for line in suite.noted("test")}
    assert boards == {("test_wif", "a"), ("test_two", "b"), ("test_moo", None)}


def test_one_worker_gets_two_boards_one_after_the_other(suite: Suite) -> None:
    suite.boards(["a", "one"], ["b", "two"])
    source = """
import pytest

@pytest.mark.hardware(board="one")
def test_one(): pass

@pytest.mark.hardware(board="two")
def test_two(): pass

@pytest.mark.hardware(board="one")
def test_one_again(): pass
"""
    suite.run(source, "-n", "1").assert_outcomes(passed=3)

    assert [line["gave_back"] for line in suite.noted("gave_back")] == ["a", "b"]


@pytest.mark.parametrize("how", ["--dist=load", "--dist=worksteal", "-d"])
def test_dist_given_on_the_command_line_is_respected(suite: Suite, how: str) -> None:
    result = suite.run(MIXED_FILE, "-n", "2", how, "-v")

    result.assert_outcomes(passed=32)
    result.stdout.no_fnmatch_line("*HardwareScheduling*")


def test_dist_given_in_the_ini_file_is_respected(suite: Suite) -> None:
    suite.path.joinpath("tox.ini").write_text("[pytest]\naddopts = --dist load\n", encoding="utf-8")
    result = suite.run(MIXED_FILE, "-n", "2", "-v")

    result.stdout.fnmatch_lines(["*scheduling tests via LoadScheduling*"])


def test_schedule_is_hil_s_without_dist(suite: Suite) -> None:
    result = suite.run(MIXED_FILE, "-n", "2", "-v")

    result.stdout.fnmatch_lines(["*scheduling tests via HardwareScheduling*"])


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("nope.py", "ERROR: file or directory not found: nope.py"),
        ("test_it.py::nope", "ERROR: not found: *::nope"),
    ],
)
def test_misspelt_argument_is_told_as_without_xdist(suite: Suite, argument: str, told: str) -> None:
    result = suite.run(MIXED_FILE, "-n", "2", argument)

    result.stderr.fnmatch_lines([told])
    assert (result.ret, "INTERNALERROR" in result.stdout.str()) == (pytest.ExitCode.USAGE_ERROR, False)


def test_auto_means_boards_plus_cores(suite: Suite) -> None:
    suite.boards(["a", "one"], ["b", "two"])
    result = suite.run(MIXED_FILE, "-n", "auto")

    count = 2 + len(os.sched_getaffinity(0))
    result.stdout.fnmatch_lines([f"*{count} workers [[]32 items[]]*"])


def test_a_run_without_boards_uses_all_workers(suite: Suite) -> None:
    suite.boards()
    suite.run(MIXED_FILE, "-n", "2").assert_outcomes(passed=32)

    assert suite.workers("test_hardware") | suite.workers("test_other") == {"gw0", "gw1"}
    assert {line["board"] for line in suite.noted("test")} == {None}


def test_an_empty_collection_ends(suite: Suite) -> None:
    result = suite.run("", "-n", "2")

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_workers_that_collect_different_tests_are_reported(suite: Suite) -> None:
    source = """
import os, pytest

@pytest.mark.parametrize("worker", [os.environ.get("PYTEST_XDIST_WORKER")])
def test_it(worker): pass
"""
    result = suite.run(source, "-n", "2")

    assert result.ret != 0
    result.stdout.fnmatch_lines(["*Different tests were collected between gw* and gw*"])


@pytest.mark.parametrize("crash", ["os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_a_crashed_worker_passes_on_its_tests_and_its_board(suite: Suite, crash: str) -> None:
    source = (
        MIXED_FILE
        + f"""
@pytest.mark.hardware
def test_crash():
    import os
    {crash}

@pytest.mark.hardware
@pytest.mark.parametrize("number", range(8))
def test_later_hardware(number):
    time.sleep(0.03)
"""
    )
    suite.run(source, "-n", "3").assert_outcomes(passed=40, failed=1)

    counts = Counter(line["test"] for line in suite.noted("test"))
    assert len(counts) == 41
    assert set(counts.values()) == {1}
    assert [line["got"] for line in suite.noted("got")] == ["a", "a"]


def test_every_worker_may_crash_in_its_last_test(suite: Suite) -> None:
    source = """
import os, pytest

@pytest.mark.hardware
@pytest.mark.parametrize("number", range(4))
def test_crash(number):
    os._exit(1)
"""
    suite.run(source, "-n", "2").assert_outcomes(failed=4)


def test_a_test_that_crashes_is_run_again_where_reruns_are_asked_for(suite: Suite) -> None:
    source = """
import os, pathlib

def test_crashes_once():
    mark = pathlib.Path("mark")
    if not mark.exists():
        mark.touch()
        os._exit(1)

def test_other(): pass
"""
    result = suite.run(source, "-n", "2", "-p", "pytest_rerunfailures", "--reruns", "1")

    assert result.ret == pytest.ExitCode.OK


def test_tests_go_on_when_a_board_is_lost(suite: Suite) -> None:
    suite.boards(["a", "one"], ["b", "two"])
    source = program(__file__, "scheduling_loses_a_board")
    suite.run(source, "-n", "2").assert_outcomes(passed=16)

    assert Counter(line["board"] for line in suite.noted("test"))["a"] <= 3


def test_remote_board_is_given_back_when_no_test_is_left_for_it(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_WAY", "far")
    suite.boards(["a", "one", "red"], ["b", "two", "blue"])
    source = program(__file__, "scheduling_not_needed")

    suite.run(source, "-n", "2").assert_outcomes(passed=12)

    assert [line["not_needed"] for line in suite.noted("not_needed")] in (["a", "b"], ["b", "a"])
    log = suite.path.joinpath("log").read_text().splitlines()
    for board in "ab":
        told = next(at for at, line in enumerate(log) if f'"not_needed": "{board}"' in line)
        assert not any(f'"board": "{board}"' in line for line in log[told:])
        assert any(f'"gave_back": "{board}"' in line for line in log[:told])


def test_a_run_stops_at_the_first_failure_if_told_so(suite: Suite) -> None:
    source = MIXED_FILE.replace("time.sleep(0.03)", "assert False")

    assert suite.run(source, "-n", "2", "-x").ret == pytest.ExitCode.INTERRUPTED


def test_durations_are_remembered_and_long_tests_go_first(suite: Suite) -> None:
    source = (
        MIXED_FILE
        + """
def test_long():
    time.sleep(0.5)
"""
    )
    suite.run(source, "-n", "2")
    suite.path.joinpath("log").unlink()
    suite.run(source, "-n", "2")

    mine = [line["test"] for line in suite.noted("test") if {line["worker"]} == suite.workers("test_long")]
    assert mine[0].endswith("::test_long")


def test_workers_of_a_killed_controller_learn_of_it_at_once(suite: Suite) -> None:
    source = f"""
import os, time

def test_kills_the_controller():
    os.kill(os.getppid(), {int(signal.SIGKILL)})
    time.sleep(5)
"""
    suite.run(source, "-n", "2")
    gone = [suite.path / "gone-gw0", suite.path / "gone-gw1"]

    assert until(lambda: any(path.exists() for path in gone), LEARNS_WITHIN_S)


def test_without_xdist_the_plugin_only_remembers_durations(suite: Suite) -> None:
    suite.run_alone(MIXED_FILE).assert_outcomes(passed=32)

    known = suite.path / ".pytest_cache" / "v" / "hil" / "durations"
    assert len(json.loads(known.read_text())) == 32
