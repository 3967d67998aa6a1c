"""Some rows of the kill matrix; `nox -s kill_matrix` runs all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.process import SimulatorProcess
from tests.kill_matrix.inner_run import Way, can_be_started
from tests.kill_matrix.kill_causes import CAUSES
from tests.kill_matrix.kill_cell import play, play_last_resort, play_without_guard, prepare
from tests.kill_matrix.kill_table import table, with_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.thorough  # processes, benches
QUIET_S = 0.5


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=1) as simulator:
        prepare(simulator)
        yield simulator


@pytest.mark.parametrize(
    ("cause", "way"),
    [
        pytest.param("terminal closed (SIGHUP)", Way.PLAIN, id="terminal"),
        pytest.param("SIGKILL to the process group", Way.NOX, id="group", marks=pytest.mark.thorough),
        pytest.param(
            "SIGKILL to the xdist controller", Way.XDIST, id="controller", marks=pytest.mark.thorough
        ),
    ],
)
def test_killed_run_leaves_a_safe_board(
    cause: str, way: Way, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    (to_do,) = (known for known in CAUSES if known.name == cause)

    outcome = play(to_do, way, simulator, tmp_path, QUIET_S)

    assert (outcome.problems, outcome.made_safe_by) == ((), "guard")


@pytest.fixture(scope="module")
def two_boards() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=2) as simulator:
        prepare(simulator)
        yield simulator


@pytest.mark.parametrize(
    ("cause", "way"), [("SIGKILL to the process group", Way.PLAIN), ("SIGKILL to the worker", Way.XDIST)]
)
def test_killed_run_leaves_both_boards_of_its_test_safe(
    cause: str, way: Way, two_boards: SimulatorProcess, tmp_path: Path
) -> None:
    (to_do,) = (known for known in CAUSES if known.name == cause)

    outcome = play(to_do, way, two_boards, tmp_path, QUIET_S)

    assert (outcome.problems, outcome.made_safe_by) == ((), "guard")


@pytest.mark.skipif(not can_be_started(Way.INIT), reason="a PID namespace needs root and unshare")
@pytest.mark.parametrize("way", [Way.FIRST, Way.INIT, Way.USER_INIT])
def test_killed_run_in_a_container_with_an_init_leaves_a_safe_board(
    way: Way, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    (to_do,) = (known for known in CAUSES if way in known.ways)

    outcome = play(to_do, way, simulator, tmp_path, QUIET_S)

    assert (outcome.problems, outcome.made_safe_by) == ((), "guard")


@pytest.mark.skipif(not can_be_started(Way.SHELL), reason="a PID namespace needs root and unshare")
def test_next_holder_makes_a_board_safe_after_its_container_ended(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    outcome = play_last_resort("next holder", simulator, tmp_path, QUIET_S, Way.SHELL)

    assert (outcome.problems, outcome.made_safe_by) == ((), "next holder")


def test_run_without_a_guard_powers_nothing(simulator: SimulatorProcess, tmp_path: Path) -> None:
    outcome = play_without_guard(simulator, tmp_path, QUIET_S)

    assert outcome.problems == ()


def test_next_holder_makes_a_board_safe_after_guard_and_holder_died(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    outcome = play_last_resort("next holder", simulator, tmp_path, QUIET_S)

    assert (outcome.problems, outcome.made_safe_by) == ((), "next holder")


def test_with_table_keeps_the_rest_of_the_page() -> None:
    page = "# Title\n\nwords\n\n| old |\n| --- |\n| row |\n\nmore\n"

    assert with_table(page, table([])) == page.replace("| old |\n| --- |\n| row |\n", table([]) + "\n")
