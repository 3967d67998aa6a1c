"""What a run was asked for, and what it answers to nonsense."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.boards.address import BoardsOption, Where, parse_boards
from hil.errors import UsageError
from hil.suite.options import parse_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

PASSES = "def test_passes(): pass"


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("usb", BoardsOption(Where.USB, text="usb")),
        ("none", BoardsOption(Where.NOWHERE, text="none")),
        ("sim:2", BoardsOption(Where.STARTED, 2, "sim:2")),
        ("sim:2,speed=5", BoardsOption(Where.STARTED, 2, "sim:2,speed=5", speed=5)),
        ("sim@4711", BoardsOption(Where.RUNNING, 4711, "sim@4711")),
    ],
)
def test_parse_boards_understands_each_value(text: str, option: BoardsOption) -> None:
    assert parse_boards(text) == option


@pytest.mark.parametrize(
    "text",
    ["", "USB", "sim", "sim:", "sim:0", "sim:-1", "sim:x", "sim:100", "sim:1,speed=0", "sim@0", "sim@65536"],
)
def test_parse_boards_refuses_any_other_value(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood"):
        parse_boards(text)


@pytest.mark.parametrize("boards", ["sim:2", "sim:2,speed=5", "sim@4711"])
def test_parse_boards_knows_simulated_boards(boards: str) -> None:
    assert parse_boards(boards).simulated


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_hil_boards_starts_boards_with_the_given_speed(run_suite: RunSuite, workers: str) -> None:
    source = "def test_speed(dutlink): assert dutlink.host.slowest_stick_s == 8 / 20"

    inner = run_suite(source, "--hil-boards=sim:1,speed=20", workers)

    assert inner.results() == {"test_speed": "passed"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--hil-each=bord",), "it is one of any, board, kind\n  try: --hil-each board"),
        (
            ("--hil-require", "hardwar"),
            "there is no file or folder hardwar\n  try: --hil-require -m hardware",
        ),
    ],
)
def test_misspelt_value_of_an_option_is_told_with_the_nearest_one(
    options: Sequence[str], told: str, run_suite: RunSuite
) -> None:
    inner = run_suite(PASSES, *options, "--hil-boards=none")

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert told in inner.text


def test_header_tells_of_an_empty_hil_boards(run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_BOARDS", "")

    inner = run_suite("def test_passes(): pass")

    assert "boards from this host's USB (HIL_BOARDS is empty, which counts as not set)" in inner.text


def test_dist_each_is_refused(run_suite: RunSuite) -> None:
    inner = run_suite(PASSES, "-n2", "--dist=each")

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert inner.text.count("--dist each cannot be used with hil") == 1


@pytest.mark.thorough
def test_workers_are_refused_with_a_path_that_is_not_utf_8(run_suite: RunSuite) -> None:
    inner = run_suite(PASSES, "-n2", "--hil-boards=none", "--ignore=caf\udce9")

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert r"caf\udce9: it is not UTF-8, and xdist cannot send it to workers" in inner.text


@pytest.mark.thorough
def test_workers_are_refused_with_a_history_that_is_not_utf_8(
    run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_HISTORY", "caf\udce9.db")

    inner = run_suite(PASSES, "-n2", "--hil-boards=none")

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert r"-n cannot be used with caf\udce9.db" in inner.text


@pytest.mark.thorough
def test_hil_board_with_hil_boards_none_is_refused(run_suite: RunSuite) -> None:
    inner = run_suite(PASSES, "--hil-boards=none", "--hil-board=zzz")

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert "contradict each other" in inner.text


@pytest.mark.parametrize(
    "option",
    [
        "--hil-boards=both",
        *(
            pytest.param(option, marks=pytest.mark.thorough)
            for option in (
                "--hil-wait=soon",
                "--hil-wait=-1",
                "--hil-silence=nan",
                "--hil-silence=0",
                "--hil-repeat=10",
                "--hil-board=",
            )
        ),
    ],
)
def test_wrong_option_ends_the_run_with_a_remedy(option: str, run_suite: RunSuite) -> None:
    inner = run_suite(PASSES, option)

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert "try: --hil-" in inner.text


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--hil-report=pipe/report", "Not a directory"),
        *(
            pytest.param(*case, marks=pytest.mark.thorough)
            for case in (
                ("--hil-history=pipe", "it is a named pipe"),
                ("--hil-history=/dev/zero", "it is a device"),
                ("--hil-history=.", "it is a folder"),
                ("--hil-history=pipe/history.db", "Not a directory"),
                ("--hil-report=pipe", "it is a named pipe"),
                ("--hil-report=/dev/zero", "it is a device"),
                ("--hil-report=test_inner.py", "it is a file"),
                ("--hil-report=test_inner.py/report", "Not a directory"),
            )
        ),
    ],
)
def test_hil_report_is_refused_at_once_if_it_cannot_be_a_folder(
    option: str, why: str, run_suite: RunSuite
) -> None:
    os.mkfifo("pipe")

    inner = run_suite(PASSES, option)

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert f": {why}\n  try: name a " in inner.text
    assert not inner.outcomes


@pytest.mark.parametrize("text", ["-1", "two", "10", "1.5", "", "²"])
def test_hil_repeat_refuses_wrong_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood"):
        parse_times("--hil-repeat", text)


@pytest.mark.thorough
def test_hil_boards_is_read_from_the_environment(
    run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "none")

    inner = run_suite("def test_reads(power): pass")

    assert "--hil-boards none" in inner.outcomes["test_reads"].message


@pytest.mark.thorough
def test_hil_boards_option_goes_before_the_environment(
    run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "nonsense")

    inner = run_suite(PASSES, "--hil-boards=none")

    assert inner.status == pytest.ExitCode.OK


def test_header_tells_that_boards_are_simulated(run_suite: RunSuite) -> None:
    inner = run_suite(PASSES, "--hil-boards=sim:2")

    assert "hil: 2 SIMULATED boards (asked for by --hil-boards sim:2" in inner.text


def test_header_uses_the_singular_for_one_board(run_suite: RunSuite) -> None:
    assert "hil: 1 SIMULATED board (asked" in run_suite(PASSES, "--hil-boards=sim:1").text


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.thorough)])
def test_hil_boards_sim_runs_hardware_tests_on_simulated_boards(workers: str, run_suite: RunSuite) -> None:
    inner = run_suite("def test_reads(power): power.read()", "--hil-boards=sim:1", workers)

    assert inner.outcomes["test_reads"].properties["hil_board_is"] == "simulated"


def test_simulator_that_does_not_answer_is_no_skip(run_suite: RunSuite, unused_port: int) -> None:
    inner = run_suite("def test_reads(power): pass", f"--hil-boards=sim@{unused_port}")

    assert inner.outcomes["test_reads"].result == "error"
    assert "no simulator answers" in inner.text
