"""The name that a board stores, on record for others while a run holds the board, and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.lab.safe_state.record import read_record

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"
pytestmark = pytest.mark.thorough  # processes

NAMES = """
def test_stores_a_name(dutlink):
    dutlink.settings.write(name="{}")
"""
LOOKS = """
from hil.lab.safe_state.record import read_record
from hil.lab.locks.lock_dir import lock_folder

def test_looks(power):
    print("on record:", read_record(lock_folder(), power.read() and "{}").name)
"""


def test_name_that_a_test_stores_is_kept_when_its_run_ends(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str, pytester: pytest.Pytester
) -> None:
    run_suite(NAMES.format("rack-3"), f"--hil-boards=sim@{simulator.management.port}")

    assert read_record(pytester.path / "locks", serial).name == "rack-3"


def test_name_is_on_record_while_a_run_holds_the_board(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str, pytester: pytest.Pytester
) -> None:
    boards = f"--hil-boards=sim@{simulator.management.port}"
    run_suite(NAMES.format("rack-4"), boards)
    for record in pytester.path.joinpath("locks").glob("*.json"):
        record.unlink()

    inner = run_suite(LOOKS.format(serial), boards, "-rP")

    assert "on record: rack-4" in inner.text
