"""A board that is pulled while a test uses it, in each of the test's phases, and plugged in again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.inner_suite import READS, run_suite
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.attached import Bench

PULLS = program(__file__, "kernel_unplug_pulls")
WAITS = program(__file__, "kernel_unplug_waits")


@pytest.mark.usefixtures("boards")
@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_a_board_that_is_pulled_is_lost_in_every_phase(
    phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_PULL_IN", phase)

    outcomes = run_suite(tmp_path, PULLS)

    pulled = outcomes["test_pulled"]
    assert (pulled.result, pulled.message.startswith("DUTLink lost: ")) == ("skipped", True), pulled
    later = outcomes["test_later"]
    assert (later.result, later.board != pulled.board) == ("passed", True), later  # on the other board


@pytest.mark.usefixtures("boards")
def test_a_board_that_is_pulled_while_its_console_is_awaited_is_lost(tmp_path: Path) -> None:
    pulled = run_suite(tmp_path, WAITS)["test_pulled"]

    assert (pulled.result, pulled.message.startswith("DUTLink lost: ")) == ("skipped", True), pulled


def test_the_next_run_uses_the_board_that_was_plugged_in_again(
    bench: Bench, boards: tuple[str, ...], tmp_path: Path
) -> None:
    for serial in boards:
        bench.replug(serial)

    outcome = run_suite(tmp_path, READS)["test_reads"]

    assert (outcome.result, outcome.board in boards) == ("passed", True)


def test_the_other_board_serves_while_one_is_out(
    bench: Bench, boards: tuple[str, ...], tmp_path: Path
) -> None:
    bench.management.fault(boards[0], "unplug")
    bench.wait_until_gone(boards[0])

    outcome = run_suite(tmp_path, READS)["test_reads"]

    assert (outcome.result, outcome.board) == ("passed", boards[1])
