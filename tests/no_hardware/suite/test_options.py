"""What a run was asked for, and what it answers to nonsense."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.boards.address import BoardsOption, Where, parse_boards
from hil.errors import UsageError
from hil.suite.options import parse_times

if TYPE_CHECKING:
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
def test_a_value_is_understood(text: str, option: BoardsOption) -> None:
    assert parse_boards(text) == option


@pytest.mark.parametrize(
    "text",
    ["", "USB", "sim", "sim:", "sim:0", "sim:-1", "sim:x", "sim:100", "sim:1,speed=0", "sim@0", "sim@65536"],
)
def test_a_value_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood"):
        parse_boards(text)


@pytest.mark.parametrize("boards", ["sim:2", "sim:2,speed=5", "sim@4711"])
def test_boards_that_were_asked_for_as_simulated_are_known_to_be(boards: str) -> None:
    assert parse_boards(boards).simulated


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_boards_run_as_fast_as_was_asked_for(run_suite: RunSuite, workers: str) -> None:
    source = "def test_speed(dutlink): assert dutlink.host.slowest_stick_s == 8 / 20"

    inner = run_suite(source, "--hil-boards=sim:1,speed=20", workers)

    assert inner.results() == {"test_speed": "passed"}


@pytest.mark.thorough
def test_board_of_a_run_without_boards_is_a_mistake(run_suite: RunSuite) -> None:
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
def test_a_wrong_option_ends_the_run_with_what_to_type_instead(option: str, run_suite: RunSuite) -> None:
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
def test_what_a_run_keeps_is_refused_at_once_where_it_cannot_be_kept(
    option: str, why: str, run_suite: RunSuite
) -> None:
    os.mkfifo("pipe")

    inner = run_suite(PASSES, option)

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert f": {why}\n  try: name a " in inner.text
    assert not inner.outcomes


@pytest.mark.parametrize("text", ["-1", "two", "10", "1.5", "", "²"])
def test_a_number_of_repeats_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood"):
        parse_times("--hil-repeat", text)


@pytest.mark.thorough
def test_the_environment_variable_says_it_too(run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_BOARDS", "none")

    inner = run_suite("def test_reads(power): pass")

    assert "--hil-boards none" in inner.outcomes["test_reads"].message


@pytest.mark.thorough
def test_the_option_goes_before_the_environment_variable(
    run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "nonsense")

    inner = run_suite(PASSES, "--hil-boards=none")

    assert inner.status == pytest.ExitCode.OK


def test_the_header_says_in_plain_sight_that_boards_are_simulated(run_suite: RunSuite) -> None:
    inner = run_suite(PASSES, "--hil-boards=sim:2")

    assert "hil: 2 SIMULATED boards (asked for by --hil-boards sim:2" in inner.text


def test_the_header_counts_one_board_as_one(run_suite: RunSuite) -> None:
    assert "hil: 1 SIMULATED board (asked" in run_suite(PASSES, "--hil-boards=sim:1").text


@pytest.mark.parametrize("workers", ["-n0", pytest.param("-n2", marks=pytest.mark.thorough)])
def test_hardware_tests_run_on_simulated_boards_that_were_asked_for(
    workers: str, run_suite: RunSuite
) -> None:
    inner = run_suite("def test_reads(power): power.read()", "--hil-boards=sim:1", workers)

    assert inner.outcomes["test_reads"].properties["hil_board_is"] == "simulated"


def test_a_simulator_that_does_not_answer_is_no_skip(run_suite: RunSuite, unused_port: int) -> None:
    inner = run_suite("def test_reads(power): pass", f"--hil-boards=sim@{unused_port}")

    assert inner.outcomes["test_reads"].result == "error"
    assert "no simulator answers" in inner.text
