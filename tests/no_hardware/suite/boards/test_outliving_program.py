"""A program that a test started uses the board under the run's lease, and not after it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.lab.locks.acquire import acquire
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

LIMIT_S = 60.0

DRIVES = program(__file__, "outliving_program_drives")

TEST = """
import os, signal, subprocess, sys

def test_starts_a_program(power):
    arguments = [sys.executable, "-c", {program!r}, {boards!r}, {told!r}]
    program = subprocess.Popen(arguments, stdout=subprocess.PIPE, start_new_session=True)
    assert program.stdout.readline() == b"on\\n"
    {then}
"""


def told_by(path: Path) -> str | None:
    """Return what a program has written, once it has."""
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize("then", ["pass", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["ends", "killed"])
def test_program_that_outlives_its_run_does_not_switch_the_dut_on(
    then: str, serial: str, simulator: SimulatorProcess, run_suite: RunSuite, tmp_path: Path
) -> None:
    boards, told = f"sim@{simulator.management.port}", tmp_path / "told"

    run_suite(TEST.format(program=DRIVES, boards=boards, told=str(told), then=then), f"--hil-boards={boards}")

    assert until(lambda: told_by(told), LIMIT_S) == "LeaseEndedError"
    with acquire(serial, wait_s=LIMIT_S):  # a guard has done its work
        assert simulator.management.state(serial)["supply"] is False


COMMANDS = program(__file__, "outliving_program_commands")


def test_command_of_a_test_uses_the_board_of_its_run_and_never_after_it(
    serial: str, simulator: SimulatorProcess, run_suite: RunSuite, tmp_path: Path
) -> None:
    boards, told, pipe = f"sim@{simulator.management.port}", tmp_path / "told", tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)

    run = run_suite(
        COMMANDS.format(boards=repr(boards), told=repr(str(told)), pipe=repr(str(pipe))),
        f"--hil-boards={boards}",
    )
    os.write(descriptor, b"\n")

    assert run.results() == {"test_runs_commands": "passed"}, run.text
    assert until(lambda: told_by(told), LIMIT_S) == "1\n"
    assert simulator.management.state(serial)["supply"] is False
    os.close(descriptor)


LATE_COMMANDS = program(__file__, "outliving_program_late_commands")


def test_command_of_a_thread_that_a_test_left_running_is_refused_after_the_run(
    serial: str, simulator: SimulatorProcess, run_suite: RunSuite, tmp_path: Path
) -> None:
    boards, told = f"sim@{simulator.management.port}", tmp_path / "told"

    run = run_suite(LATE_COMMANDS.format(boards=repr(boards), told=repr(str(told))), f"--hil-boards={boards}")

    assert run.results() == {"test_leaves_a_thread": "passed"}, run.text
    assert "env -u HIL_LEASE" in told.read_text()
    assert simulator.management.state(serial)["supply"] is False


LATE_OPENINGS = program(__file__, "outliving_program_late_openings")


def test_thread_that_a_test_left_running_opens_no_board_after_the_run(
    serial: str, simulator: SimulatorProcess, run_suite: RunSuite, tmp_path: Path
) -> None:
    boards, told = f"sim@{simulator.management.port}", tmp_path / "told"

    run = run_suite(LATE_OPENINGS.format(boards=repr(boards), told=repr(str(told))), f"--hil-boards={boards}")

    assert run.results() == {"test_leaves_a_thread": "passed"}, run.text
    assert told.read_text().split() == ["NotLeasedError"] * 2
    assert simulator.management.state(serial)["supply"] is False


LATER_TEST = program(__file__, "outliving_program_later_tests")


def test_command_of_a_later_test_is_refused_until_it_is_started_without_the_token(
    serial: str, simulator: SimulatorProcess, run_suite: RunSuite
) -> None:
    boards = f"sim@{simulator.management.port}"

    run = run_suite(LATER_TEST.format(boards=repr(boards)), f"--hil-boards={boards}")

    assert set(run.results().values()) == {"passed"}, run.text
    assert len(run.results()) == 3
    assert simulator.management.state(serial)["supply"] is True


STAYS = program(__file__, "outliving_program_stays")

TWO_TESTS = program(__file__, "outliving_program_two_tests")


def test_program_is_refused_while_the_lock_folder_of_its_run_is_gone(
    serial: str, simulator: SimulatorProcess, run_suite: RunSuite
) -> None:
    boards = f"sim@{simulator.management.port}"

    run = run_suite(TWO_TESTS.format(program=repr(STAYS), boards=repr(boards)), f"--hil-boards={boards}")

    assert run.results() == {"test_removes_the_lock_folder": "passed", "test_goes_on": "passed"}, run.text
    assert simulator.management.state(serial)["supply"] is False


LEAVES_A_PROGRAM = """
import os, subprocess, sys
from hil.dutlink.timing import until

def test_leaves_a_program(power):
    with open({pipe!r}) as pipe, open({told!r}, "w") as told:
        arguments = [sys.executable, "-c", {program!r}, {boards!r}]
        subprocess.Popen(arguments, stdin=pipe, stdout=told, start_new_session=True)
    assert until(lambda: os.path.getsize({told!r}) or None, 60)
"""


def test_program_that_outlives_its_run_is_refused_after_the_lock_folder_was_removed(
    serial: str, simulator: SimulatorProcess, run_suite: RunSuite, tmp_path: Path
) -> None:
    boards, told, pipe = f"sim@{simulator.management.port}", tmp_path / "told", tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)
    os.write(descriptor, b"\n")
    source = LEAVES_A_PROGRAM.format(boards=boards, told=str(told), pipe=str(pipe), program=STAYS)
    run_suite(source, f"--hil-boards={boards}")

    shutil.rmtree(os.environ["HIL_LOCK_DIR"])
    os.write(descriptor, b"\n")
    os.close(descriptor)

    assert until(lambda: told.read_text().split()[1:] or None, LIMIT_S) == ["LeaseEndedError"]
    assert simulator.management.state(serial)["supply"] is False


CALLS_PYTEST = """
import os, sys
import pytest

status = pytest.main(sys.argv[1:])
print("status", int(status), os.environ.get("HIL_LEASE"))
"""


@pytest.mark.parametrize("before", [None, "of an outer lease"])
def test_run_restores_the_environment_of_the_program_that_called_it(
    before: str | None,
    serial: str,
    simulator: SimulatorProcess,
    pytester: pytest.Pytester,
    run_suite: RunSuite,
) -> None:
    assert serial, run_suite  # has no faults; has written conftest.py
    pytester.makepyfile(test_inner="def test_a(power): power.on()")
    boards = f"--hil-boards=sim@{simulator.management.port}"

    told = subprocess.run(
        [sys.executable, "-c", CALLS_PYTEST, "-p", "no:cacheprovider", boards],
        env={**os.environ, **({} if before is None else {"HIL_LEASE": before})},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert told.splitlines()[-1] == f"status 0 {before}", told


FINDS = """
import subprocess, sys

def test_program_finds_the_board(power):
    command = [sys.executable, "-m", "hil.cli.main", "power", "off"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
"""


def test_program_finds_the_boards_of_its_run(
    simulator: SimulatorProcess, run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_BOARDS", "none")

    run = run_suite(FINDS, f"--hil-boards=sim@{simulator.management.port}")

    assert set(run.results().values()) == {"passed"}, run.text
