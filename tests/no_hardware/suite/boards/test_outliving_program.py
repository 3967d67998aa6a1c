"""A program that a test started uses the board under the run's lease, and not after it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.lab.locks.acquire import acquire

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

LIMIT_S = 60.0

DRIVES = """
import sys
from hil.dutlink.board import open_board
from hil.errors import HilError
from hil.boards.sources import source_of
from hil.boards.address import parse_boards

board = open_board(source_of(parse_boards(sys.argv[1], option="")).host(), console=False)
board.power.force_on()
print("on", flush=True)
try:
    while True:
        board.power.force_on()
except HilError as error:
    open(sys.argv[2], "w").write(type(error).__name__)
"""

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
    boards, told = f"sim@{simulator.control.port}", tmp_path / "told"

    run_suite(TEST.format(program=DRIVES, boards=boards, told=str(told), then=then), f"--hil-boards={boards}")

    assert until(lambda: told_by(told), LIMIT_S) == "LeaseEndedError"
    with acquire(serial, wait_s=LIMIT_S):  # a guard has done its work
        assert simulator.control.state(serial)["supply"] is False


COMMANDS = """
import subprocess, sys

HIL = [sys.executable, "-m", "hil.cli.main", "power"]
BOARDS = ["--boards", {boards!r}]

def test_runs_commands(power):
    assert subprocess.run([*HIL, "force-on", *BOARDS]).returncode == 0
    assert power.read().volts >= 0
    late = 'read line; "$@"; echo $? > ' + {told!r}
    with open({pipe!r}) as pipe:
        subprocess.Popen(["sh", "-c", late, "", *HIL, "on", *BOARDS], stdin=pipe, start_new_session=True)
"""


def test_command_of_a_test_uses_the_board_of_its_run_and_never_after_it(
    serial: str, simulator: SimulatorProcess, run_suite: RunSuite, tmp_path: Path
) -> None:
    boards, told, pipe = f"sim@{simulator.control.port}", tmp_path / "told", tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)

    run = run_suite(COMMANDS.format(boards=boards, told=str(told), pipe=str(pipe)), f"--hil-boards={boards}")
    os.write(descriptor, b"\n")

    assert run.results() == {"test_runs_commands": "passed"}, run.text
    assert until(lambda: told_by(told), LIMIT_S) == "1\n"
    assert simulator.control.state(serial)["supply"] is False
    os.close(descriptor)
