"""`hil sim`: serving simulated boards, and asking a simulator that runs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import usb.core
import usb.util

from hil.cli.commands import sim as sim_module
from hil.cli.main import cli, run
from hil.sim.backend.backend import simulated_host
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

SIMULATOR = {"boards": 1, "speed": 20}


@pytest.fixture
def serial(simulator: SimulatorProcess) -> Iterator[str]:
    (serial,) = simulator.serials()
    yield serial
    simulator.management.clear(serial)


@pytest.fixture
def port(simulator: SimulatorProcess) -> str:
    return str(simulator.management.port)


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_sim_state_prints_the_true_state(
    port: str, serial: str, capsys: pytest.CaptureFixture[str], simulator: SimulatorProcess
) -> None:
    status = run(["--json", "sim", "state", "--control", port, serial])

    assert (status, told(capsys).keys()) == (0, simulator.management.state(serial).keys())


def test_sim_state_of_all_boards_is_a_list(
    port: str, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--json", "sim", "state", "--control", port])

    assert [truth["serial"] for truth in told(capsys)] == [serial]


def test_sim_state_is_readable_text(port: str, serial: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["sim", "state", "--control", port])

    said = capsys.readouterr().out
    assert f"serial: {serial}\n" in said
    assert "pins:\n  " in said


def test_sim_fault_names_a_board_that_was_given_by_its_serial_number(
    port: str, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["sim", "clear", "--control", port, serial])

    assert capsys.readouterr().out == f"Board sim-1 ({serial}) has no faults now.\n"


def test_sim_fault_takes_the_name_of_a_board(port: str, serial: str, simulator: SimulatorProcess) -> None:
    status = run(["sim", "fault", "--control", port, "sim-1", "hang_in_boot"])
    faults = simulator.management.state(serial)["faults"]
    run(["sim", "clear", "--control", port, "sim-1"])

    assert (status, list(faults)) == (0, ["hang_in_boot"])


@pytest.mark.parametrize(
    ("arguments", "active"),
    [
        pytest.param(["hang"], {"hang": {"on": True}}, id="nothing said"),
        pytest.param(["hang", "on=true"], {"hang": {"on": True}}, id="a truth"),
        pytest.param(["hang", "on=false"], {}, id="a fault that is ended"),
        pytest.param(["late", "seconds=0.5"], {"late": {"seconds": 0.5}}, id="a number"),
        pytest.param(["boot_loader", "product_id=0xe012"], {"boot_loader": {}}, id="a hexadecimal number"),
    ],
)
def test_sim_fault_begins_a_fault(
    simulator: SimulatorProcess, port: str, serial: str, arguments: list[str], active: dict[str, Any]
) -> None:
    status = run(["sim", "fault", "--control", port, serial, *arguments])

    assert (status, simulator.management.state(serial)["faults"]) == (0, active)


def test_sim_clear_ends_faults(simulator: SimulatorProcess, port: str, serial: str) -> None:
    simulator.management.fault(serial, "unplug")
    run(["sim", "clear", "--control", port, serial])

    assert simulator.management.state(serial)["faults"] == {}


def test_sim_log_is_one_line_for_each_request(
    simulator: SimulatorProcess, port: str, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    board = usb.core.find(backend=simulated_host(simulator.ready).backend())
    assert board.product == "Dutlink"
    usb.util.dispose_resources(board)
    run(["sim", "log", "--control", port, serial])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(simulator.management.log(serial)[0])
    assert re.match(r" +\d+ +\d+\.\d{3} s  pid \d+ +80 06 03\d\d 0409 +254  ok     \w+", lines[-1]), lines[-1]
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        pytest.param(["sim", "--boards", "0"], "hil sim --boards: ", id="no boards"),
        pytest.param(["sim", "--boards", "many"], "hil sim --boards: ", id="a word for a number"),
        pytest.param(["sim", "--speed", "0"], "hil sim --speed: ", id="time that stands still"),
        pytest.param(["sim", "--speed", "nan"], "hil sim --speed: ", id="no speed at all"),
        pytest.param(["sim", "--port", "70000"], "hil sim --port: ", id="no port"),
        pytest.param(["sim", "--stick-size", "1M"], "at least 8M", id="a stick that is too small"),
        pytest.param(["sim", "--stick-size", "huge"], "is no size", id="a size that is none"),
        pytest.param(["sim", "--nonsense"], "--nonsense", id="an unknown option"),
        pytest.param(["sim", "state"], "--control", id="an option that is missing"),
        pytest.param(
            ["sim", "state", "--control", "0"], "hil sim state --control: ", id="a port that cannot be"
        ),
        pytest.param(["sim", "fault", "--control", "1", "b", "hang", "on"], "'on'", id="no KEY=VALUE"),
        pytest.param(["sim", "--boards", "2", "state", "--control", "1"], "--boards", id="both at once"),
        pytest.param(["nonsense"], "nonsense", id="an unknown command"),
    ],
)
def test_sim_reports_misuse_in_three_parts(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HIL_BOARDS", raising=False)

    status = run(arguments)

    said = capsys.readouterr().err
    assert status == 2
    assert said.startswith("hil: ")
    assert what in said
    assert "\n  try: " in said


def test_hil_alone_shows_its_help_and_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Usage: hil" in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sim", "--help"]) == 0
    assert "--boards" in capsys.readouterr().out


def test_sim_prints_errors_as_json(capsys: pytest.CaptureFixture[str], port: str) -> None:
    status = run(["--json", "sim", "state", "--control", port, "nobody"])

    error = json.loads(capsys.readouterr().err)
    assert (status, error["what"]) == (1, "no board has the name or serial number 'nobody'")


def test_sim_reports_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])

        status = run(["sim", "--port", number])

    said = capsys.readouterr().err
    assert status == 1
    assert f"port {number}" in said
    assert "in use" in said
    assert "try: another --port" in said


def test_ctrl_c_in_a_command_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_port: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sim_module, "_client", interrupted)

    assert run(["sim", "state", "--control", "1"]) == 130


def test_reader_that_ends_early_gets_no_traceback(port: str) -> None:
    program = [sys.executable, "-m", "hil.cli.main", "sim", "state", "--control", port]
    with running(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        said = child.stderr.read()

    assert said == b""


def test_every_command_has_a_help_text() -> None:
    undocumented = [
        name
        for group in (cli, sim_module.sim)
        for name, command in group.commands.items()
        if not command.help
    ]

    assert undocumented == []
