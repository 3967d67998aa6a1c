"""The benchmarks run, and say whether their goals are met; whether they are is theirs to find out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import ratios
from tests.support.harness import show

pytestmark = pytest.mark.thorough  # processes, benches
ROOT = Path(__file__).parents[2]
BENCH = ROOT / "tests" / "bench"


def run(script: str, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, str(BENCH / script), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert ran.returncode == ("MISSED" in ran.stdout), ran.stderr
    return ran.stdout


def test_the_cost_of_the_suite_is_measured_for_run_and_start_also_by_boards() -> None:
    lines = run("suite_cost.py", "--tests", "10", "--repeats", "1").splitlines()

    measured = [line.split("  ")[0].strip() for line in lines[1:]]
    assert measured == [
        f"{tests}: {what}"
        for tests, what in (
            ("10 trivial tests", "run"),
            ("10 trivial tests", "run, CPU"),
            ("10 trivial tests", "start and collection"),
            ("10 trivial tests", "start and collection, CPU"),
            ("10 tests by boards", "start and collection"),
            ("10 tests by boards", "start and collection, CPU"),
        )
    ]


def test_the_cost_of_a_control_request_is_measured() -> None:
    lines = run("request_cost.py", "--requests", "5", "--repeats", "1").splitlines()

    assert lines[1].startswith("a control request")


def test_the_cost_of_a_command_is_measured_by_the_clock_and_for_the_processor() -> None:
    lines = run("command_cost.py", "--repeats", "1").splitlines()

    measured = [line.split("  ")[0] for line in lines[1:]]
    commands = ["hil power read", "hil power read, lab file", "hil --help"]
    assert measured == [row for command in commands for row in (command, f"{command}, CPU")]


def test_the_comings_of_the_stick_are_counted_for_the_first_flash_and_later_ones() -> None:
    lines = run("bench_comings.py", "--speed", "50").splitlines()

    assert [line.split(":")[0] for line in lines][:2] == ["first flash", "second flash"]
    assert ("3 comings" in lines[0], "2 comings" in lines[1]) == (True, True), lines


def test_flashing_is_measured_against_dd_and_what_else_is_there(tmp_path: Path) -> None:
    lines = run(
        "bench_flash.py", "--size-mib", "16", "--repeats", "1", "--folder", str(tmp_path)
    ).splitlines()

    assert [line.partition(":")[0] for line in lines[2:4]] == ["dense", "a quarter mapped"]
    assert [line.partition(",")[0] for line in lines[4:7]] == ["a quarter", "unchanged", "unchanged"]
    assert lines[-1].startswith("peak memory")
    assert list(tmp_path.iterdir()) == []


def test_what_a_million_attempts_cost_is_measured_in_both_shapes() -> None:
    ran = run("bench_history.py", "--part", "200")

    questions = ["hil history", "hil history numbers", "hil history numbers test_0.py::test_1"]
    assert re.findall(
        r"^1,000,000 attempts and numbers (.+) \(\d+ MiB\): (.+) takes ", ran, re.MULTILINE
    ) == [
        (shape, question)
        for shape in ("all of them in 60 nights", "in 5,000 nights")
        for question in questions
    ]


def test_the_cost_of_the_report_is_measured() -> None:
    line = run("report_cost.py", "--attempts", "10000", "--repeats", "1")

    assert line.startswith("hil report, newest 60 of 2 nights x 5,000 tests: ")


def test_the_console_is_measured_and_no_byte_of_it_is_lost_or_misfiled() -> None:
    pytest.importorskip("pexpect")
    lines = run("bench_console.py", "--megabytes", "2", "--consoles", "4", "--kilobytes", "20").splitlines()

    assert lines[1].startswith("expect in 2 MB")
    assert "0 with a byte lost or misfiled" in lines[-1]


@pytest.mark.parametrize(("ours_s", "verdict"), [(1.09, "holds"), (1.2, "MISSED")])
def test_the_table_says_whether_a_goal_is_met(
    ours_s: float, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ratios.rows([ratios.Ratio("a thing", (1.0,), (ours_s,), 1.1)])

    status = show(rows)

    assert (capsys.readouterr().out.split()[-1], status) == (verdict, verdict == "MISSED")
