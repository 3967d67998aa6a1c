"""A run whose guard cannot start, or cannot be replaced: no board is handed out, none is left with power."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.lab.safe_state.record import BoardState, read_record
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]
SOON_S = 60.0
BROKEN = """
import sys
sys.executable = "/bin/false"
def test_powered(dutlink):
    dutlink.power.force_on()
def test_powered_again(power):
    power.force_on()
"""
CLOSES = program(__file__, "guard_of_a_run_closes")
REPLACED = program(__file__, "guard_of_a_run_replaced")


@pytest.fixture
def boards(simulator: SimulatorProcess, serial: str) -> str:
    assert serial
    return f"--hil-boards=sim@{simulator.management.port}"


def test_guard_that_cannot_start_is_an_error_of_each_test_and_powers_nothing(
    run_suite: RunSuite, boards: str, serial: str, simulator: SimulatorProcess
) -> None:
    _, since = simulator.management.log(serial)

    run = run_suite(BROKEN, boards)

    assert run.results() == {"test_powered": "error", "test_powered_again": "error"}
    assert run.status == 1
    assert "no guard runs beside this process" in run.outcomes["test_powered"].message
    assert (1, 3) not in [
        (one["bRequest"], one["wValue"]) for one in simulator.management.log(serial, since)[0]
    ]


@pytest.mark.thorough
def test_guard_that_cannot_be_replaced_ends_the_use_of_the_board(
    run_suite: RunSuite, boards: str, serial: str, simulator: SimulatorProcess, pytester: pytest.Pytester
) -> None:
    run = run_suite(REPLACED, boards)

    assert run.results() == {"test_first": "failed", "test_second": "error"}
    assert run.status == 1
    assert "no guard runs" in run.outcomes["test_first"].message
    assert "no guard runs" in run.outcomes["test_second"].message
    assert until(lambda: not simulator.management.state(serial)["supply"], SOON_S)
    assert read_record(Path(pytester.path / "locks"), serial).state is BoardState.SAFE


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["lock", "socket", "both"])
def test_lease_whose_files_a_test_closes_is_lost_in_that_test(
    run_on_simulator: RunSuite,
    serial: str,
    simulator: SimulatorProcess,
    pytester: pytest.Pytester,
    kind: str,
) -> None:
    run = run_on_simulator(f"KIND = {kind!r}\n{CLOSES}")

    assert run.results() == {"test_closes": "error", "test_next": "passed"}, run.text
    assert run.status == 1
    assert f"the lease of board sim-1 ({serial}) was lost" in run.outcomes["test_closes"].message
    assert (pytester.path / "told").read_text().split() == ["LeaseEndedError"] * 2
    assert [each.stat().st_size for each in pytester.path.glob("mine*")] == [0] * 6
    assert until(lambda: not simulator.management.state(serial)["supply"], SOON_S)
    assert read_record(Path(pytester.path / "locks"), serial).state is BoardState.SAFE
