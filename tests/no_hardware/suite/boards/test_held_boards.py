"""In a run a board is opened only by the process that holds it, and no object of it outlives its lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.held_boards import held_boards
from hil.errors import LeaseEndedError, NotLeasedError
from hil.sim.backend.backend import simulated_host
from hil.sim.process import SimulatorProcess
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

SUITE = program(__file__, "held_boards_suite")


@pytest.fixture(scope="module")
def two_boards() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=2) as process:
        yield process


def test_run_opens_only_boards_that_it_holds(run_suite: RunSuite, two_boards: SimulatorProcess) -> None:
    inner = run_suite(SUITE, f"--hil-boards=sim@{two_boards.ready['control_port']}")

    results = {name: outcome.result for name, outcome in inner.outcomes.items()}
    assert set(results.values()) == {"passed"}, inner.text
    assert not any(two_boards.management.state(serial)["supply"] for serial in two_boards.serials())


OVERRIDE = program(__file__, "held_boards_override")


@pytest.mark.thorough
def test_override_that_opens_a_board_itself_gets_the_one_of_its_worker(
    run_suite: RunSuite, two_boards: SimulatorProcess
) -> None:
    source = f"READY = {two_boards.ready!r}\n{OVERRIDE}"

    inner = run_suite(source, f"--hil-boards=sim@{two_boards.ready['control_port']}", "-n2")

    assert {outcome.result for outcome in inner.outcomes.values()} == {"passed"}, inner.text
    assert not any(two_boards.management.state(serial)["supply"] for serial in two_boards.serials())


def test_outside_of_runs_every_board_is_opened(two_boards: SimulatorProcess) -> None:
    for serial in two_boards.serials():
        with open_driver(simulated_host(two_boards.ready), serial, console=False) as board:
            assert board.power.read()


def test_end_of_a_lease_ends_every_object_of_its_board(two_boards: SimulatorProcess) -> None:
    host, serial = simulated_host(two_boards.ready), two_boards.serials()[0]
    first, second = (open_driver(host, serial, console=False) for _ in range(2))
    other = open_driver(host, two_boards.serials()[1], console=False)

    held_boards.end(host, first.access, "was given back")

    first.make_safe()
    for use in (second.power.on, second.pins.float_all):
        with pytest.raises(LeaseEndedError, match="was given back"):
            use()
    assert other.power.read()
    for board in (first, second, other):
        board.close()


def test_restricted_host_opens_what_is_held_and_lets_the_suite_look(two_boards: SimulatorProcess) -> None:
    host, (held, free) = simulated_host(two_boards.ready), two_boards.serials()
    held_boards.restrict(host.dev)
    try:
        with pytest.raises(NotLeasedError):
            open_driver(host, console=False)
        with held_boards.any_board():
            open_driver(host, free, console=False).close()
        held_boards.add(host, held)
        with open_driver(host, console=False) as board:
            assert board.serial == held
            held_boards.end(host, board.access, "was given back")
        with pytest.raises(NotLeasedError):
            open_driver(host, held, console=False)
    finally:
        held_boards.lift(host.dev)
    open_driver(host, held, console=False).close()


IMPORTED = program(__file__, "held_boards_imported")


def test_board_that_a_test_file_opened_when_it_was_imported_drives_nothing(run_suite: RunSuite) -> None:
    with SimulatorProcess(boards=2, speed=10) as simulator:
        boards = f"sim@{simulator.management.port}"

        run = run_suite(
            IMPORTED.format(boards=repr(boards), serials=simulator.serials()), f"--hil-boards={boards}"
        )

        assert run.results() == {"test_uses_a_board_that_its_file_opened": "passed"}, run.text


RESTRICTED = """
import hil
from hil.dutlink.held_boards import held_boards

is_restricted = held_boards.is_restricted(hil.this_host())

def test_boards_of_this_host_were_restricted():
    assert is_restricted
"""


def test_test_file_cannot_open_a_board_of_this_host_when_it_is_imported(run_suite: RunSuite) -> None:
    run = run_suite(RESTRICTED)

    assert run.results() == {"test_boards_of_this_host_were_restricted": "passed"}, run.text
