"""Boards that cannot be told apart, or tell no board's serial number: each command says so, and uses none."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.sources import simulated_host
from hil.cli.main import run
from hil.dutlink.board import open_driver
from hil.dutlink.discovery import probe
from hil.dutlink.timing import until
from hil.errors import TwinBoardsError, Verdict
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.record import BoardState, read_record
from hil.sim.dut.image import build_image
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.host import Host
    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
LIMIT_S = 60.0
SIMULATOR = {"boards": 3, "speed": 5}


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> None:
    """A machine whose boards these are, and a folder with an image."""
    build_image(tmp_path / "IMAGE", "twin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("HIL_LAB", "none")
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")


@pytest.fixture
def host(simulator: SimulatorProcess) -> Host:
    return simulated_host(simulator.ready)


@pytest.fixture
def twins(simulator: SimulatorProcess, host: Host) -> Iterator[str]:
    """Two boards whose DUTs are on and that tell one serial number; the third board is another one."""
    first, second, _ = simulator.serials()
    for serial in (first, second):
        with open_driver(host, serial, console=False) as board:
            board.power.force_on()
    simulator.management.fault(second, "serial", told=first)
    yield first
    simulator.management.clear(second)


def requests_to(simulator: SimulatorProcess) -> list[dict[str, Any]]:
    """What the first two boards were asked but for the descriptors that every look reads."""
    logs = [simulator.management.log(serial)[0] for serial in simulator.serials()[:2]]
    return [request for log in logs for request in log if request["bmRequestType"] & 0x60 == 0x40]


COMMANDS = [
    ["power", "on"],
    ["power", "off"],
    ["power", "read"],
    ["storage", "host"],
    ["pins", "set", "a", "low"],
    ["settings", "get"],
    ["flash", "IMAGE"],
    ["read", "FILE"],
    ["console"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_refuse_twin_boards_and_locate_both(
    simulator: SimulatorProcess,
    twins: str,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = len(requests_to(simulator))

    status = run([*command, "--board", twins])

    said = capsys.readouterr().err
    assert (status, f"2 boards have the serial number {twins}" in said) == (1, True), said
    assert said.count("bus 1 address") >= 2, said
    assert len(requests_to(simulator)) == before


def test_safe_all_calls_no_twin_safe(twins: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "safe", "--all"])

    rows = json.loads(capsys.readouterr().out)
    outcomes = [row["outcome"] for row in rows if row["board"] == twins]
    assert (status, outcomes) == (1, ["faulty", "faulty"])
    assert all("unplug all but one" in row["why"] for row in rows if row["board"] == twins)


def test_safe_all_makes_other_boards_safe_beside_twins(
    twins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--json", "safe", "--all"])

    rows = json.loads(capsys.readouterr().out)
    assert [row["outcome"] for row in rows if row["board"] != twins] == ["safe"]


def test_boards_lists_both_twins_with_the_problem(twins: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["--json", "boards"])

    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows if row["board"] == twins] == ["faulty", "faulty"]
    assert all(row["why"].count("bus 1 address") >= 2 for row in rows if row["board"] == twins)


def test_doctor_reports_twins_that_are_in_use(
    host: Host, twins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with acquire(twins, test="a night", host=host):
        run(["--json", "doctor", "--quick"])

    findings = json.loads(capsys.readouterr().out)["findings"]
    about = [one for one in findings if one["board"] == twins and one["check"] == "boards"]
    assert [one["outcome"] for one in about] == ["problem", "problem"]
    assert all("2 boards have the serial number" in one["says"] for one in about)


HOLDS = """
import hil, signal, sys
board = hil.open_board(serial=sys.argv[1])
board.power.force_on()
print(flush=True)
signal.pause()
"""


def test_guard_makes_a_board_safe_although_a_twin_was_plugged_in(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    first, second, _ = simulator.serials()
    with running([sys.executable, "-c", HOLDS, first], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        simulator.management.fault(second, "serial", told=first)

        program.kill()

        assert until(lambda: not simulator.management.state(first)["supply"], LIMIT_S)
        assert until(lambda: read_record(tmp_path, first).state is BoardState.SAFE, LIMIT_S)
    simulator.management.clear(second)
    assert "each was made safe" in str(read_record(tmp_path, first).events[-1])


def test_open_board_refuses_both_twins(host: Host, twins: str) -> None:
    with pytest.raises(TwinBoardsError, match=twins):
        open_driver(host, twins)


def test_unplugged_twin_leaves_the_other_one_usable(
    simulator: SimulatorProcess, host: Host, twins: str
) -> None:
    simulator.management.fault(simulator.serials()[1], "unplug")

    assert probe(host, twins).verdict is Verdict.PRESENT


@pytest.mark.parametrize("told", ["DEADBEEF", "1234", "my board", "5a1c0e0g"])
def test_wrong_serial_number_in_descriptors_is_reported(
    simulator: SimulatorProcess, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = simulator.serials()[2]
    simulator.management.fault(odd, "serial", told=told)

    run(["--json", "boards"])

    simulator.management.clear(odd)
    (row,) = [row for row in json.loads(capsys.readouterr().out) if row["state"] == "faulty"]
    assert f"says that its serial number is {told!r}" in row["why"]


def test_silent_board_keeps_serial_number_name_and_holder(
    simulator: SimulatorProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serial = simulator.serials()[0]
    lab = tmp_path / "lab.toml"
    lab.write_text(f'[place.bench]\nserial = "{serial}"\n')
    monkeypatch.setenv("HIL_LAB", str(lab))
    simulator.management.fault(serial, "hang", on=True)

    run(["--json", "boards"])
    with acquire(serial, test="a long sequence"):
        run(["--json", "boards"])

    simulator.management.clear(serial)
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    free, held = (next(row for row in rows if row["board"] == serial) for rows in looks)
    assert [(row["state"], row["name"]) for row in (free, held)] == [("lost", "bench"), ("busy", "bench")]
    assert "a long sequence" in held["holder"]
