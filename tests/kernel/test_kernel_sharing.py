"""Two boards and several workers: each worker has a board of its own, or waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.lab.locks.acquire import acquire
from tests.kernel.inner_suite import READS, run_suite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.attached import Bench

EIGHT = """
import pytest, time

@pytest.mark.parametrize("number", range(8))
def test_reads(power, number):
    power.read()
    time.sleep(0.5)
"""


def test_two_workers_use_two_boards(boards: tuple[str, ...], tmp_path: Path) -> None:
    outcomes = run_suite(tmp_path, EIGHT, "-n", "2")

    assert {one.result for one in outcomes.values()} == {"passed"}
    assert {one.board for one in outcomes.values()} == set(boards)


def test_a_board_that_is_leased_is_left_alone(boards: tuple[str, ...], tmp_path: Path) -> None:
    with acquire(boards[0], test="elsewhere.py::test_long"):
        outcome = run_suite(tmp_path, READS)["test_reads"]

    assert (outcome.result, outcome.board) == ("passed", boards[1])


def test_a_run_leaves_its_board_safe(bench: Bench, boards: tuple[str, ...], tmp_path: Path) -> None:
    source = "def test_leaves_it_on(power, storage):\n    power.force_on()\n    storage.host()\n"

    outcome = run_suite(tmp_path, source)["test_leaves_it_on"]

    truth = bench.management.state(outcome.board)
    assert outcome.board in boards
    assert (truth["supply"], truth["mux"]) == (False, "off")
