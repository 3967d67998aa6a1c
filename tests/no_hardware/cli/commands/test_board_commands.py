"""`hil power`, `hil storage`, `hil pins`, `hil settings`, `hil boards`: a board used by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.address import BoardsOption, Where
from hil.cli.board_context import refuse_remote_boards
from hil.cli.main import run
from hil.dutlink.board import open_board
from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import sleep, until
from hil.errors import UsageError
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.record import BoardRecord, record_path, write_record
from hil.sim.backend.backend import simulated_host
from tests.support.programs import running

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess


pytestmark = pytest.mark.thorough  # processes
HIL = [sys.executable, "-m", "hil.cli.main"]
POWER_REQUEST, POWER_OFF, POWER_ON = 1, 0, 1
VENDOR_OUT = 0x41
SIMULATOR = {"boards": 2, "speed": 5}


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> str:
    """The board that commands use; it is named by HIL_BOARD."""
    serial = simulator.serials()[0]
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.control.port}")
    monkeypatch.setenv("HIL_BOARD", serial)
    return serial


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("verb", "supply"),
    [("on", True), ("off", False), ("force-on", True), ("force-off", False), ("rescue", True)],
)
def test_the_dut_stays_as_a_hand_left_it(
    simulator: SimulatorProcess, serial: str, verb: str, supply: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["power", "force-off" if supply else "force-on"])
    capsys.readouterr()

    status = run(["--json", "power", verb])

    assert (status, told(capsys)) == (0, {"board": serial, "power": verb})
    assert simulator.control.state(serial)["supply"] is supply
    assert acquire(serial).release() is None


def test_a_cycle_takes_the_supply_away_and_gives_it_back(simulator: SimulatorProcess, serial: str) -> None:
    _, since = simulator.control.log(serial)

    status = run(["power", "cycle", "--pause", "0"])

    requests, _ = simulator.control.log(serial, since)
    sent = [request["wValue"] for request in requests if request["bRequest"] == POWER_REQUEST]
    assert (status, sent) == (0, [POWER_OFF, POWER_ON])
    assert simulator.control.state(serial)["supply"] is True


def test_the_meter_is_read(serial: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "power", "read"])

    answer = told(capsys)
    assert (status, answer["board"], set(answer)) == (0, serial, {"board", "volts", "amps", "watts"})


def test_the_host_is_told_where_the_stick_is(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "storage", "host"])

    assert (status, Path(told(capsys)["node"]).exists()) == (0, True)
    assert simulator.control.state(serial)["mux"] == "host"


@pytest.mark.parametrize("position", ["dut", "off"])
def test_the_stick_is_given_away(simulator: SimulatorProcess, serial: str, position: str) -> None:
    status = run(["storage", position])

    assert (status, simulator.control.state(serial)["mux"]) == (0, position)


def test_a_pin_is_driven_and_left_floating(simulator: SimulatorProcess, serial: str) -> None:
    run(["pins", "set", "c", "low"])
    driven = simulator.control.state(serial)["pins"]["c"]
    status = run(["pins", "float"])

    assert (status, driven) == (0, "low")
    assert set(simulator.control.state(serial)["pins_set"].values()) == {"floating"}


def test_the_reset_pin_is_pulsed(simulator: SimulatorProcess, serial: str) -> None:
    status = run(["pins", "reset", "--for", "0.01"])

    assert (status, set(simulator.control.state(serial)["pins_set"].values())) == (0, {"floating"})


def test_a_setting_is_stored_and_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    run(["settings", "set", "name", "rack-3"])
    capsys.readouterr()

    status = run(["settings", "get", "name"])

    assert (status, capsys.readouterr().out) == (0, "rack-3\n")


def test_a_places_sequences_are_stored_by_command_and_only_where_they_differ(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulator: SimulatorProcess,
    serial: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "lab.toml").write_text(
        f'[place.a]\nserial = "{serial}"\npower_on = "P1,w1"\npower_off = ""\n'
    )
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))
    run(["settings", "set", "power_off", "p0,w1"])
    capsys.readouterr()

    run(["--json", "settings", "apply", "--board", "a"])
    changed = told(capsys)["changed"]
    used = simulator.control.state(serial)["flash"]
    again = run(["--json", "settings", "apply", "--board", "a"])

    assert changed == {"power_on": {"was": "", "is": "P1,w1"}, "power_off": {"was": "p0,w1", "is": ""}}
    assert (again, told(capsys)["changed"], simulator.control.state(serial)["flash"]) == (0, {}, used)
    run(["settings", "set", "power_on", ""])


@pytest.mark.parametrize("command", [["get", "nmae"], ["set", "nmae", "x"]])
def test_a_setting_that_does_not_exist_is_told(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["settings", *command])

    assert (status != 0, "power_rescue" in capsys.readouterr().err) == (True, True)


def test_a_board_in_use_is_left_alone(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["power", "force-on"])
    with acquire(serial, test="test_boot"):
        status = run(["power", "force-off", "--wait", "0"])

    said = capsys.readouterr().err
    assert (status, "test_boot" in said, "--wait SECONDS" in said) == (1, True, True)
    assert simulator.control.state(serial)["supply"] is True


def test_several_boards_must_be_told_apart(
    monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HIL_BOARD")

    status = run(["power", "on"])

    said = capsys.readouterr().err
    assert (status, all(serial in said for serial in simulator.serials())) == (2, True)


def test_a_board_is_meant_by_the_name_that_it_stores(
    serial: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-3"])
    capsys.readouterr()
    monkeypatch.delenv("HIL_BOARD")

    status = run(["--json", "power", "read", "--board", "rack-3"])
    answer = told(capsys)
    misspelt = run(["power", "read", "--board", "rakc-3"])

    said = capsys.readouterr().err
    assert (status, answer["board"]) == (0, serial)
    assert (misspelt, "did you mean rack-3?" in said) == (1, True)


def test_name_that_is_stored_is_listed_while_the_board_is_held(
    serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-7"])
    capsys.readouterr()

    with acquire(serial, test="test_boot"):
        run(["--json", "boards"])

    assert {row["board"]: row["name"] for row in told(capsys)}[serial] == "rack-7"


def test_name_of_a_held_board_leads_to_its_serial_number(
    serial: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-7"])
    capsys.readouterr()
    monkeypatch.delenv("HIL_BOARD")

    with acquire(serial, test="test_boot"):
        status = run(["power", "read", "--board", "rack-7"])

    said = capsys.readouterr().err
    assert (status, f"board {serial} is in use" in said) == (1, True)
    assert all(word in said for word in ("test_boot", f"--board {serial} waits for it"))


def test_name_of_a_board_that_hil_lease_holds_is_listed(serial: str, tmp_path: Path) -> None:
    run(["settings", "set", "name", "rack-7"])
    record_path(tmp_path, serial).unlink()

    rows = subprocess.run(
        [*HIL, "lease", "--", *HIL, "--json", "boards"], check=True, capture_output=True, text=True
    )

    names = {row["board"]: row["name"] for row in json.loads(rows.stdout)}
    assert names[serial] == "rack-7"


def test_name_of_a_board_whose_console_is_open_is_listed(
    serial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-7"])
    record_path(tmp_path, serial).unlink()

    with running([*HIL, "console"], stderr=subprocess.PIPE, text=True) as console:
        assert console.stderr.readline().startswith("hil: console of board")
        capsys.readouterr()
        run(["--json", "boards"])

    assert {row["board"]: row["name"] for row in told(capsys)}[serial] == "rack-7"


def test_absent_board_leads_to_those_that_are_there(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["power", "read", "--board", "deadbeef"])

    said = capsys.readouterr().err
    assert (status, "no board deadbeef is there (2 simulated boards)" in said) == (1, True)
    assert all(serial in said for serial in simulator.serials())
    assert "cable" not in said


def test_name_of_a_board_that_was_unplugged_leads_to_its_serial_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path, "deadbeef", BoardRecord().with_name("rack-8"))

    status = run(["power", "read", "--board", "rack-8"])

    said = capsys.readouterr().err
    assert (status, "board deadbeef, which stores the name rack-8, was not found" in said) == (1, True)


@pytest.mark.parametrize("position", ["host", "off"])
def test_stick_that_is_taken_from_a_running_dut_is_told(
    position: str, simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["storage", "dut"])
    run(["power", "force-on"])
    assert until(lambda: _draws(simulator, serial), 60)

    run(["storage", position])
    first = capsys.readouterr().out
    run(["storage", position])
    again = capsys.readouterr().out
    run(["power", "force-off"])

    assert ("lost its stick" in first, "lost its stick" in again) == (True, False)


def _draws(simulator: SimulatorProcess, serial: str) -> bool:
    with open_board(simulated_host(simulator.ready), serial, console=False) as board:
        return board.power.draws()


def test_a_board_in_use_is_not_asked_for_its_name(
    simulator: SimulatorProcess, serial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-9"])
    record_path(tmp_path, serial).unlink()
    with acquire(serial, test="test_boot"):
        _, since = simulator.control.log(serial)
        status = run(["power", "off", "--board", "rack-9"])
        requests, _ = simulator.control.log(serial, since)

    assert (status, f"not asked for a name: {serial}" in capsys.readouterr().err) == (1, True)
    assert all(request["bmRequestType"] != VENDOR_OUT for request in requests)


def test_two_boards_of_one_name_are_not_guessed_at(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in simulator.serials():
        run(["settings", "set", "name", "twin", "--board", each])

    status = run(["power", "off", "--board", "twin"])

    said = capsys.readouterr().err
    assert (status, all(each in said for each in simulator.serials())) == (2, True)


def test_a_place_whose_board_is_not_there_is_fine_until_it_is_needed(
    serial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = f'[place.here]\nserial = "{serial}"\n[place.gone]\nserial = "00000000"\n'
    (tmp_path / "lab.toml").write_text(places)
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    here = run(["power", "off", "--board", "here"])
    gone = run(["power", "off", "--board", "gone"])

    said = capsys.readouterr().err
    assert (here, gone, "place gone with board 00000000" in said) == (0, 1, True)


def test_the_list_tells_free_boards_from_held_ones(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with acquire(serial, test="test_boot"):
        status = run(["boards", "--json"])

    held, free = sorted(told(capsys), key=lambda row: row["board"] != serial)
    assert (status, held["state"], free["state"]) == (0, "busy", "present")
    assert "test_boot" in held["holder"]
    assert held["safe"] is None
    assert (free["board"], free["holder"], free["safe"]) == (simulator.serials()[1], None, None)  # no record


@pytest.mark.parametrize("position", ["dut", "off"])
def test_the_list_tells_who_was_given_the_stick_and_whether_the_dut_is_on(
    serial: str, position: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["power", "force-on"])
    run(["storage", position])
    sleep(SETTLE_S)
    capsys.readouterr()

    run(["boards", "--json"])
    run(["power", "force-off"])

    (row,) = [row for row in json.loads(capsys.readouterr().out.splitlines()[0]) if row["board"] == serial]
    assert (row["position"], row["power"], row["health"]) == (position, "on", "ok")


def test_what_the_host_sees_goes_before_what_is_on_record(
    serial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stick").touch()
    (tmp_path / "lab.toml").write_text(f'[place.a]\nserial = "{serial}"\nstick = "{tmp_path / "stick"}"\n')
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    run(["boards", "--json"])

    (row,) = [row for row in told(capsys) if row["board"] == serial]
    assert (row["position"], row["name"]) == ("host", "a")


def test_a_place_whose_board_is_not_there_is_listed_as_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lab.toml").write_text('[place.gone]\nserial = "00000000"\n')
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    status = run(["boards"])

    lines = capsys.readouterr().out.splitlines()
    assert (status, len(lines)) == (0, 4)
    assert lines[0].split()[:2] == ["BOARD", "NAME"]
    assert lines[3].split()[:2] == ["00000000", "gone"]


def test_a_watch_prints_a_line_only_for_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["boards", "--watch", "--times", "1", "--json"])

    assert (status, len(told(capsys))) == (0, 2)


def test_boards_that_would_be_started_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["power", "on", "--boards", "sim:2"])

    assert (status, "hil sim" in capsys.readouterr().err) == (2, True)


def test_boards_of_another_machines_lab_are_for_test_runs() -> None:
    with pytest.raises(UsageError, match="is for test runs"):
        refuse_remote_boards(BoardsOption(Where.JUMPSTARTER, text="jumpstarter:demo"))


@pytest.mark.parametrize("noun", ["power", "storage", "pins", "settings", "boards"])
def test_help_needs_no_board(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run([noun, "--help"])

    assert (status, f"hil {noun}" in capsys.readouterr().out) == (0, True)


@pytest.mark.parametrize("command", [["boards"], ["settings", "get"], ["settings", "get", "name"]])
def test_a_name_that_a_terminal_would_obey_is_shown_and_not_obeyed(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "\x1b]0;evil\x07\x1b[31mred"])
    capsys.readouterr()

    status = run(command)
    run(["settings", "set", "name", ""])

    said = capsys.readouterr().out
    assert (status, "\x1b" in said, r"\x1b]0;evil\x07red" in said) == (0, False, True)
