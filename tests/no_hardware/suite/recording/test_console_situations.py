"""What a run does about a console that cannot be used, goes away, or was left open by a process that died."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import open_driver
from hil.evidence.console_slices import RunConsoles
from hil.evidence.records import file_stem
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.dutlink.host import Host
    from hil.evidence.console_slices import ConsoleSlice
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import InnerRun, RunSuite
from hil.boards.sources import simulated_host

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # runs of the suite
OWN_TTY = program(__file__, "console_situations_own_tty")
USES_AND_DOES_NOT = """
def test_without_a_console(power): power.force_off()
def test_with_a_console(console): console.expect("x", timeout_s=1)
"""


def console_of(pytester: pytest.Pytester, test: str) -> ConsoleSlice:
    """Return the console of a test of `test_inner.py`."""
    consoles = RunConsoles(pytester.path / "report" / "console", "")
    console = consoles.slice(file_stem(f"test_inner.py::{test}"))
    assert console is not None
    return console


def data_of(pytester: pytest.Pytester, test: str) -> bytes:
    """Return the bytes of a test, with those before it."""
    console = console_of(pytester, test)
    return b"".join(data for _, data, _ in console.read(0, console.size_bytes))


def host_of(simulator: SimulatorProcess) -> Host:
    return replace(simulated_host(simulator.ready), stick_memory=None)


@pytest.fixture
def with_own_tty(
    pytester: pytest.Pytester, run_suite: RunSuite, simulator: SimulatorProcess, serial: str
) -> RunSuite:
    """Runs tests on a place whose console is a node in the folder of the run."""

    def run(source: str, *arguments: str) -> InnerRun:
        (pytester.path / "lab.toml").write_text(
            f'[place.p]\nserial = "{serial}"\nconsole = "{pytester.path}/node"\n'
        )
        boards = f"--hil-boards=sim@{simulator.management.port}"
        return run_suite(OWN_TTY + source, boards, "--hil-lab=lab.toml", "--hil-report=report", *arguments)

    return run


def test_missing_console_fails_only_tests_that_use_it(with_own_tty: RunSuite) -> None:
    inner = with_own_tty(USES_AND_DOES_NOT)

    assert inner.results() == {"test_without_a_console": "passed", "test_with_a_console": "failed"}
    assert "node cannot be opened" in inner.outcomes["test_with_a_console"].message


def test_busy_console_fails_only_tests_that_use_it(with_own_tty: RunSuite) -> None:
    locked = """
master = plug_in()
somebody = os.open(NODE, os.O_RDWR | os.O_NOCTTY)
fcntl.flock(somebody, fcntl.LOCK_EX)
"""
    inner = with_own_tty(locked + USES_AND_DOES_NOT)

    assert inner.results() == {"test_without_a_console": "passed", "test_with_a_console": "failed"}
    assert "another process" in inner.outcomes["test_with_a_console"].message


def test_a_tty_that_goes_away_and_comes_back_fails_one_test_and_not_the_next(
    with_own_tty: RunSuite, pytester: pytest.Pytester
) -> None:
    goes_away = program(__file__, "console_situations_goes_away")
    inner = with_own_tty(goes_away)

    assert inner.results() == {"test_one": "failed", "test_two": "passed"}
    assert "went away while it was open" in inner.outcomes["test_one"].message
    (run,) = (pytester.path / "report" / "console").glob("run-*.raw")
    assert run.read_bytes() == b"of one\nof two\n"
    assert "went away" in run.with_suffix(".jsonl").read_text()


def test_bytes_come_to_a_test_only_while_it_runs(with_own_tty: RunSuite, pytester: pytest.Pytester) -> None:
    between = program(__file__, "console_situations_between")
    assert with_own_tty(between).results() == {"test_one": "passed", "test_two": "passed"}

    one, two = data_of(pytester, "test_one"), data_of(pytester, "test_two")
    assert one.startswith(b"of one's tear-down\n")
    assert (one + two).count(b"unread by one\n") == 1
    assert two.endswith(b"of two\n")
    assert b"tear-down" not in two


DIES = """
import os, signal

def test_dies(console):
    console.transcript.append(b"last words\\n")
    from hil.dutlink.timing import until
    from pathlib import Path
    assert until(lambda: b"last words" in next(Path("report/console").glob("run-*.raw")).read_bytes(), 60)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_leaves_its_consoles_and_gives_up_the_tty(
    run_suite: RunSuite, pytester: pytest.Pytester, simulator: SimulatorProcess, serial: str
) -> None:
    run_suite("def test_nothing(): pass", "--hil-boards=none")
    pytester.makepyfile(test_inner=DIES)
    boards = f"--hil-boards=sim@{simulator.management.port}"
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", boards, "--hil-report=report"]
    died = subprocess.run(command, cwd=pytester.path, check=False, timeout=60, capture_output=True)

    assert died.returncode == -signal.SIGKILL
    assert data_of(pytester, "test_dies").endswith(b"last words\n")
    with open_driver(host_of(simulator), serial) as board:
        assert board.console.is_open


HEARS = """
def test_hears_the_dut(console, power):
    power.on()
    console.expect("boot ROM", timeout_s=20)
"""


def test_a_board_that_was_left_in_its_shell_is_brought_back_for_the_run(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str
) -> None:
    with open_driver(host_of(simulator), serial) as board:
        board.console.send(b"\x02" * 5)
        board.console.expect("#> ", timeout_s=10)
    assert simulator.management.state(serial)["console_mode"] is False

    inner = run_suite(HEARS, f"--hil-boards=sim@{simulator.management.port}")

    assert inner.results() == {"test_hears_the_dut": "passed"}
    assert simulator.management.state(serial)["console_mode"] is True


LEAVES = """
def test_leaves_the_board_in_its_shell(console):
    console.send(b"\\x02" * 5)
    console.expect("Exiting console mode.*#> ", timeout_s=10)

def test_hears_the_dut(console, power):
    power.on()
    console.expect("boot ROM", timeout_s=20)
"""


def test_a_test_that_leaves_the_board_in_its_shell_does_not_deafen_the_next(run_suite: RunSuite) -> None:
    inner = run_suite(LEAVES, "--hil-boards=sim:1")

    assert set(inner.results().values()) == {"passed"}


BLIND = program(__file__, "console_situations_blind")


def test_while_a_sequence_runs_no_byte_comes_and_the_transcript_says_so(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    inner = run_suite(BLIND, "--hil-boards=sim:1", "--hil-report=report")

    assert inner.results() == {"test_blind": "passed"}, inner.text
    marks = [str(mark) for mark in console_of(pytester, "test_blind").marks]
    assert "power on; blind for 1.5 s: its sequence lets no console byte through" in marks
