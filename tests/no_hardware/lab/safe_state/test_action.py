"""The safe action on simulated boards, carried out by guards and others."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.power.power import OFF_AMPS
from hil.dutlink.timing import until
from hil.errors import BoardUnsafeError
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state import action
from hil.lab.safe_state.action import confirm_off, make_safe
from hil.lab.safe_state.attempt import try_make_safe
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import BoardState, read_record
from hil.sim.process import SimulatorProcess
from tests.support import fake_board
from tests.support.programs import program

pytestmark = pytest.mark.thorough  # processes
POWERED_S = 30.0

HOLDER = program(__file__, "action_holder")
SIMULATOR = {"boards": 1, "speed": 5}


@pytest.fixture
def serial(simulator: SimulatorProcess) -> Iterator[str]:
    (serial,) = simulator.serials()
    yield serial
    simulator.management.clear(serial)


@pytest.fixture
def host(simulator: SimulatorProcess) -> dict[str, Any]:
    return {"call": "tests.support.fake_board:simulated", "arguments": {"ready": simulator.ready}}


AFTER_LOAD = program(__file__, "action_after_load")


def test_load_imports_all_that_makes_a_board_safe_also_one_that_was_busy(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", AFTER_LOAD, json.dumps(simulator.ready), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    assert ran.stdout.split() == []


def die_holding(folder: Path, simulator: SimulatorProcess, last_words: str = "") -> None:
    command = [sys.executable, "-c", HOLDER, str(folder), json.dumps(simulator.ready), last_words]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9


def test_guard_switches_the_dut_off_before_the_next_lease(
    tmp_path: Path, simulator: SimulatorProcess, serial: str
) -> None:
    die_holding(tmp_path, simulator)
    with acquire(serial, wait_s=POWERED_S, folder=tmp_path):
        truth = simulator.management.state(serial)

    assert (truth["supply"], truth["mux"]) == (False, "off")
    assert set(truth["pins_set"].values()) == {"floating"}
    assert read_record(tmp_path, serial).events[-1].amps == pytest.approx(0.0, abs=0.02)


def test_guard_waits_for_a_power_sequence_to_end(
    tmp_path: Path, simulator: SimulatorProcess, serial: str
) -> None:
    die_holding(tmp_path, simulator, 'board.settings.write(power_off="w30,p0"); board.power.off(wait=False)')
    with acquire(serial, wait_s=POWERED_S, folder=tmp_path):
        truth = simulator.management.state(serial)

    assert (truth["supply"], truth["busy_s"]) == (False, 0)
    assert read_record(tmp_path, serial).events[-1].what == "made safe"


def test_guard_records_an_unplugged_board_as_unsafe(
    tmp_path: Path, simulator: SimulatorProcess, serial: str
) -> None:
    port = simulator.management.port
    unplug = f"from hil.sim.management.client import ManagementClient; ManagementClient({port})"
    die_holding(tmp_path, simulator, f"{unplug}.fault(serial, 'unplug')")
    acquire(serial, wait_s=POWERED_S, folder=tmp_path).release()

    record = read_record(tmp_path, serial)
    assert record.needs_safety
    assert "BoardAbsentError" in record.events[-1].why


def test_make_safe_runs_the_places_own_sequence(
    simulator: SimulatorProcess, serial: str, host: dict[str, Any]
) -> None:
    since = simulator.management.log(serial)[1]
    make_safe(serial, policy="aL,w1,p0", host=host)

    sent = [(entry["bRequest"], entry["wValue"]) for entry in simulator.management.log(serial, since)[0]]
    assert sent.index((5, 1)) < sent.index((1, 2))


def test_make_safe_runs_the_boards_power_off_sequence_first(
    simulator: SimulatorProcess, serial: str, host: dict[str, Any]
) -> None:
    since = simulator.management.log(serial)[1]
    make_safe(serial, policy="off", host=host)

    sent = [(entry["bRequest"], entry["wValue"]) for entry in simulator.management.log(serial, since)[0]]
    assert sent.index((1, 0)) < sent.index((1, 2))


def test_make_safe_refuses_a_call_that_returns_no_host(serial: str) -> None:
    with pytest.raises(TypeError, match="not a Host"):
        make_safe(serial, host={"call": "builtins:dict"})


def test_try_make_safe_does_not_wait_for_a_simulator_that_has_ended(host: dict[str, Any]) -> None:
    with SimulatorProcess(1) as gone:
        arguments = {"ready": gone.ready}
    safety = Safety(arguments={"host": {**host, "arguments": arguments}}, limit_s=1000, absent_s=0.1)

    event = try_make_safe(safety, "5a1c0e01", why="a test", by="test")

    assert event.what == "could not be made safe"


def test_board_without_a_record_is_made_safe_before_it_is_used(
    tmp_path: Path, simulator: SimulatorProcess, serial: str, host: dict[str, Any]
) -> None:
    with open_driver(fake_board.simulated(simulator.ready), serial, console=False) as board:
        board.power.force_on()
        until(lambda: board.power.read().amps > OFF_AMPS, POWERED_S)

    with under_guard(acquire(serial, folder=tmp_path), Safety(arguments={"host": host})) as lease:
        truth = simulator.management.state(serial)

    assert (truth["supply"], lease.made_safe is not None and lease.made_safe.was_on) == (False, True)
    assert "this host had no record of it" in read_record(tmp_path, serial).events[-1].why


def test_board_without_a_record_whose_dut_is_off_costs_no_wait(
    tmp_path: Path, serial: str, host: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_safe(serial, host=host)
    waits: list[float] = []
    monkeypatch.setattr(action, "sleep", waits.append)

    with under_guard(acquire(serial, folder=tmp_path), Safety(arguments={"host": host})) as lease:
        assert (lease.made_safe, waits) == (None, [])

    assert (read_record(tmp_path, serial).state, read_record(tmp_path, serial).events) == (
        BoardState.SAFE,
        (),
    )


def test_board_without_a_record_that_cannot_be_opened_stays_unknown(
    tmp_path: Path, simulator: SimulatorProcess, serial: str, host: dict[str, Any]
) -> None:
    simulator.management.fault(serial, "deny")
    lease = under_guard(acquire(serial, folder=tmp_path), Safety(arguments={"host": host, "answer_s": 1.0}))

    lease.release_unused()

    assert read_record(tmp_path, serial).state is BoardState.UNKNOWN


def test_board_without_a_record_that_refuses_is_not_handed_out(
    tmp_path: Path, simulator: SimulatorProcess, serial: str, host: dict[str, Any]
) -> None:
    simulator.management.fault(serial, "stall", count=1000)

    with pytest.raises(BoardUnsafeError):
        under_guard(acquire(serial, folder=tmp_path), Safety(arguments={"host": host, "answer_s": 1.0}))

    assert read_record(tmp_path, serial).state is BoardState.UNSAFE


def test_make_safe_at_a_glance_names_the_program_that_lost_the_stick(
    simulator: SimulatorProcess, serial: str, host: dict[str, Any]
) -> None:
    with open_driver(fake_board.simulated(simulator.ready), serial, console=False) as board:
        board.make_safe()
        node = board.storage.wait_for_node()
    disk = node.resolve().name  # the link goes with the stick

    with node.open("rb"):
        made = make_safe(serial, host=host, glance=True)

    assert simulator.management.state(serial)["mux"] == "off"
    assert f"the stick was taken away although {disk} is open" in made.remark


@pytest.mark.parametrize("stays_on", [True, False])
def test_confirm_off_takes_only_a_reading_of_nothing(
    simulator: SimulatorProcess, serial: str, stays_on: bool
) -> None:
    with open_driver(fake_board.simulated(simulator.ready), serial, console=False) as board:
        board.make_safe()
        board.power.force_on()
        assert until(lambda: board.power.read().amps > 4 * OFF_AMPS, POWERED_S)
        simulator.management.fault(serial, "stays_on", on=stays_on)
        board.power.force_off()
        board.pins.low("reset")  # a DUT that has power draws less

        with pytest.raises(BoardUnsafeError) if stays_on else nullcontext():
            confirm_off(board)

        assert (board.power.read().amps > OFF_AMPS) == stays_on
