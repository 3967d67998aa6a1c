"""`hil power`, `hil storage`, `hil pins`, `hil settings`, `hil boards`: a board used by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.address import BoardsOption, Where
from hil.cli.board_context import refuse_remote_boards
from hil.cli.main import run
from hil.dutlink import settings
from hil.dutlink.board import open_driver
from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import sleep, until
from hil.errors import UsageError
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lock_file import lock_path
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
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    monkeypatch.setenv("HIL_BOARD", serial)
    return serial


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("verb", "supply"),
    [("on", True), ("off", False), ("force-on", True), ("force-off", False), ("rescue", True)],
)
def test_power_leaves_the_dut_as_switched(
    simulator: SimulatorProcess, serial: str, verb: str, supply: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["power", "force-off" if supply else "force-on"])
    capsys.readouterr()

    status = run(["--json", "power", verb])

    assert (status, told(capsys)) == (0, {"board": serial, "power": verb})
    assert simulator.management.state(serial)["supply"] is supply
    assert acquire(serial).release() is None


def test_power_cycle_switches_the_supply_off_and_on(simulator: SimulatorProcess, serial: str) -> None:
    _, since = simulator.management.log(serial)

    status = run(["power", "cycle", "--pause", "0"])

    requests, _ = simulator.management.log(serial, since)
    sent = [request["wValue"] for request in requests if request["bRequest"] == POWER_REQUEST]
    assert (status, sent) == (0, [POWER_OFF, POWER_ON])
    assert simulator.management.state(serial)["supply"] is True


def test_power_read_prints_the_meter(serial: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "power", "read"])

    answer = told(capsys)
    assert (status, answer["board"], set(answer)) == (
        0,
        serial,
        {"board", "volts", "amps", "watts", "settled"},
    )


def test_storage_host_prints_the_sticks_node(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "storage", "host"])

    assert (status, Path(told(capsys)["node"]).exists()) == (0, True)
    assert simulator.management.state(serial)["mux"] == "host"


@pytest.mark.parametrize("position", ["dut", "off"])
def test_storage_moves_the_stick(simulator: SimulatorProcess, serial: str, position: str) -> None:
    status = run(["storage", position])

    assert (status, simulator.management.state(serial)["mux"]) == (0, position)


def test_pins_set_drives_a_pin_and_float_releases_it(simulator: SimulatorProcess, serial: str) -> None:
    run(["pins", "set", "c", "low"])
    driven = simulator.management.state(serial)["pins"]["c"]
    status = run(["pins", "float"])

    assert (status, driven) == (0, "low")
    assert set(simulator.management.state(serial)["pins_set"].values()) == {"floating"}


def test_pins_reset_pulses_the_reset_pin(simulator: SimulatorProcess, serial: str) -> None:
    status = run(["pins", "reset", "--for", "0.01"])

    assert (status, set(simulator.management.state(serial)["pins_set"].values())) == (0, {"floating"})


def test_settings_set_stores_a_setting_and_reads_it_back(capsys: pytest.CaptureFixture[str]) -> None:
    run(["settings", "set", "name", "rack-3"])
    capsys.readouterr()

    status = run(["settings", "get", "name"])

    assert (status, capsys.readouterr().out) == (0, "rack-3\n")


def test_settings_apply_stores_sequences_of_the_place_only_if_they_differ(
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
    used = simulator.management.state(serial)["flash"]
    again = run(["--json", "settings", "apply", "--board", "a"])

    assert changed == {"power_on": {"was": "", "is": "P1,w1"}, "power_off": {"was": "p0,w1", "is": ""}}
    assert (again, told(capsys)["changed"], simulator.management.state(serial)["flash"]) == (0, {}, used)
    run(["settings", "set", "power_on", ""])


@pytest.mark.parametrize("command", [["get", "nmae"], ["set", "nmae", "x"]])
def test_settings_refuses_an_unknown_setting(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["settings", *command])

    assert (status != 0, "power_rescue" in capsys.readouterr().err) == (True, True)


def test_command_fails_for_a_board_in_use(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["power", "force-on"])
    with acquire(serial, test="test_boot"):
        status = run(["power", "force-off", "--wait", "0"])

    said = capsys.readouterr().err
    assert (status, "test_boot" in said, "--wait SECONDS" in said) == (1, True, True)
    assert simulator.management.state(serial)["supply"] is True


def test_command_needs_a_board_if_there_are_several(
    monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HIL_BOARD")

    status = run(["power", "on"])

    said = capsys.readouterr().err
    assert (status, all(serial in said for serial in simulator.serials())) == (2, True)


def test_board_option_takes_the_name_that_a_board_stores(
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


def test_board_option_with_a_stored_name_does_not_count_as_a_use_of_any_board(
    serial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["settings", "set", "name", "rack-3"])
    monkeypatch.delenv("HIL_BOARD")
    lock_file = lock_path(tmp_path, serial)
    os.utime(lock_file, (1, 1))

    run(["power", "read", "--board", "rack-3"])

    assert lock_file.stat().st_mtime == 1  # otherwise each such command would wait for the meter


def test_boards_lists_the_stored_name_of_a_board_in_use(
    serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-7"])
    capsys.readouterr()

    with acquire(serial, test="test_boot"):
        run(["--json", "boards"])

    assert {row["board"]: row["name"] for row in told(capsys)}[serial] == "rack-7"


def test_board_option_takes_the_name_of_a_board_in_use(
    serial: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-7"])
    capsys.readouterr()
    monkeypatch.delenv("HIL_BOARD")

    with acquire(serial, test="test_boot"):
        status = run(["power", "read", "--board", "rack-7"])

    said = capsys.readouterr().err
    assert (status, f"board sim-1 ({serial}) is in use" in said) == (1, True)
    assert all(word in said for word in ("test_boot", f"--board {serial} waits for it"))


def test_boards_lists_the_name_of_a_board_that_hil_lease_uses(serial: str, tmp_path: Path) -> None:
    run(["settings", "set", "name", "rack-7"])
    record_path(tmp_path, serial).unlink()

    rows = subprocess.run(
        [*HIL, "lease", "--", *HIL, "--json", "boards"], check=True, capture_output=True, text=True
    )

    names = {row["board"]: row["name"] for row in json.loads(rows.stdout)}
    assert names[serial] == "rack-7"


def test_boards_lists_the_name_of_a_board_with_an_open_console(
    serial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-7"])
    record_path(tmp_path, serial).unlink()

    with running([*HIL, "console"], stderr=subprocess.PIPE, text=True) as console:
        assert console.stderr.readline().startswith("hil: console of sim-1, ")
        capsys.readouterr()
        run(["--json", "boards"])

    assert {row["board"]: row["name"] for row in told(capsys)}[serial] == "rack-7"


@pytest.mark.parametrize("typed", ["--json power read --board sim-2", "--json safe sim-2"])
def test_boards_have_the_names_by_which_commands_take_them(
    typed: str, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--json", "boards"])
    names = {row["name"]: row["board"] for row in told(capsys)}

    status = run(typed.split())

    answer = told(capsys)
    assert (status, names["sim-2"], answer["board"]) == (0, simulator.serials()[1], simulator.serials()[1])


def test_a_near_miss_of_a_simulated_board_s_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["power", "read", "--board", "sim-22"])

    assert (status, "did you mean sim-2?" in capsys.readouterr().err) == (1, True)


def test_a_command_that_names_none_of_several_boards_lists_them(
    simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HIL_BOARD")
    status = run(["power", "read"])

    said = capsys.readouterr().err
    assert (status, f"sim-2 ({simulator.serials()[1]})" in said) == (2, True), said
    assert "--board sim-1, or HIL_BOARD=sim-1" in said


def test_board_option_lists_present_boards_for_an_absent_one(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["power", "read", "--board", "deadbeef"])

    said = capsys.readouterr().err
    assert (status, "no board deadbeef is there (2 simulated boards)" in said) == (1, True)
    assert all(serial in said for serial in simulator.serials())
    assert "cable" not in said


def test_board_option_takes_the_name_of_an_unplugged_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path, "deadbeef", BoardRecord().with_name("rack-8"))

    status = run(["power", "read", "--board", "rack-8"])

    said = capsys.readouterr().err
    assert (status, "board deadbeef, which stores the name rack-8, was not found" in said) == (1, True)


@pytest.mark.parametrize("position", ["host", "off"])
def test_storage_reports_that_a_running_dut_lost_its_stick(
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


@pytest.mark.parametrize("command", ["power on", "storage host"])
def test_commands_right_after_power_off_take_the_dut_for_off(
    command: str, simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["storage", "dut"])
    run(["power", "force-on"])
    assert until(lambda: _draws(simulator, serial), 60)
    run(["power", "off"])
    capsys.readouterr()

    run(command.split())
    said = capsys.readouterr().out
    run(["power", "force-off"])

    assert ("was on already" in said, "lost its stick" in said) == (False, False), said


@pytest.mark.usefixtures("serial")
def test_power_read_says_whether_the_reading_has_settled(capsys: pytest.CaptureFixture[str]) -> None:
    run(["power", "force-off"])
    capsys.readouterr()

    run(["power", "read"])
    said = capsys.readouterr().out
    until(lambda: _settled(capsys), 60)

    assert "Not settled: a reading is the mean of 2 s" in said


def _settled(capsys: pytest.CaptureFixture[str]) -> bool:
    capsys.readouterr()
    run(["--json", "power", "read"])
    return bool(json.loads(capsys.readouterr().out)["settled"])


def _draws(simulator: SimulatorProcess, serial: str) -> bool:
    with open_driver(simulated_host(simulator.ready), serial, console=False) as board:
        return board.power.draws()


def test_board_option_does_not_query_a_board_in_use(
    simulator: SimulatorProcess, serial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["settings", "set", "name", "rack-9"])
    record_path(tmp_path, serial).unlink()
    with acquire(serial, test="test_boot"):
        _, since = simulator.management.log(serial)
        status = run(["power", "off", "--board", "rack-9"])
        requests, _ = simulator.management.log(serial, since)

    assert (status, f"not asked for a name: {serial}" in capsys.readouterr().err) == (1, True)
    assert all(request["bmRequestType"] != VENDOR_OUT for request in requests)


def test_board_option_refuses_a_name_of_two_boards(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in simulator.serials():
        run(["settings", "set", "name", "twin", "--board", each])

    status = run(["power", "off", "--board", "twin"])

    said = capsys.readouterr().err
    assert (status, all(each in said for each in simulator.serials())) == (2, True)


def test_lab_file_with_an_absent_board_is_no_error_for_other_boards(
    serial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = f'[place.here]\nserial = "{serial}"\n[place.gone]\nserial = "00000000"\n'
    (tmp_path / "lab.toml").write_text(places)
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    here = run(["power", "off", "--board", "here"])
    gone = run(["power", "off", "--board", "gone"])

    said = capsys.readouterr().err
    assert (here, gone, "place gone with serial number 00000000" in said) == (0, 1, True)


def test_boards_lists_free_boards_and_boards_in_use(
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
def test_boards_lists_stick_position_and_power(
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


def test_boards_prefers_the_node_on_the_host_to_the_record(
    serial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stick").touch()
    (tmp_path / "lab.toml").write_text(f'[place.a]\nserial = "{serial}"\nstick = "{tmp_path / "stick"}"\n')
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    run(["boards", "--json"])

    (row,) = [row for row in told(capsys) if row["board"] == serial]
    assert (row["position"], row["name"]) == ("host", "a")


def test_boards_lists_a_place_without_board_as_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lab.toml").write_text('[place.gone]\nserial = "00000000"\n')
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    status = run(["boards"])

    lines = capsys.readouterr().out.splitlines()
    assert (status, len(lines)) == (0, 4)
    assert lines[0].split()[:2] == ["BOARD", "NAME"]
    assert lines[3].split()[:2] == ["00000000", "gone"]


def test_boards_watch_prints_only_changes(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["boards", "--watch", "--times", "1", "--json"])

    assert (status, len(told(capsys))) == (0, 2)


def test_boards_option_refuses_boards_that_would_be_started(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["power", "on", "--boards", "sim:2"])

    assert (status, "hil sim" in capsys.readouterr().err) == (2, True)


def test_boards_option_refuses_boards_of_a_jumpstarter_lab() -> None:
    with pytest.raises(UsageError, match="is for test runs"):
        refuse_remote_boards(BoardsOption(Where.JUMPSTARTER, text="jumpstarter:demo"))


@pytest.mark.parametrize("noun", ["power", "storage", "pins", "settings", "boards"])
def test_help_needs_no_board(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run([noun, "--help"])

    assert (status, f"hil {noun}" in capsys.readouterr().out) == (0, True)


@pytest.mark.parametrize("command", [["boards"], ["settings", "get"], ["settings", "get", "name"]])
def test_boards_sanitizes_a_name_with_control_sequences(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as another_program:  # hil refuses to store such a name
        another_program.setattr(settings, "encode", lambda _name, value: value.encode())
        run(["settings", "set", "name", "\x1b]0;evil\x07\x1b[31mred"])
    capsys.readouterr()

    status = run(command)
    run(["settings", "set", "name", ""])

    said = capsys.readouterr().out
    assert (status, "\x1b" in said, r"\x1b]0;evil\x07red" in said) == (0, False, True)


@pytest.mark.parametrize(
    ("command", "silence"),
    [
        (["power", "on", "--board", "sim-2"], "did not answer within 1.0 s"),
        (["safe", "sim-2"], "did not answer within 2.0 s"),
        (["safe", "--all"], "did not answer within 2.0 s"),
        (["lease", "--board", "sim-2", "--", "true"], "did not answer within 2.0 s"),
    ],
    ids=["power on", "safe", "safe --all", "lease"],
)
def test_wait_bounds_the_silence_of_a_board_that_hangs(
    simulator: SimulatorProcess, command: list[str], silence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    hanging = simulator.serials()[1]
    simulator.management.fault(hanging, "hang", on=True)
    option = 2 if command[0] == "power" else 1
    try:
        status = run([*command[:option], "--wait", "1", *command[option:]])
    finally:
        simulator.management.clear(hanging)

    said = "".join(capfd.readouterr())
    assert (status, silence in said) == (1, True), said
    assert f"board sim-2 ({hanging}) at bus" in said


def test_error_of_a_silent_board_advises_a_longer_wait(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.management.fault(serial, "hang", on=True)
    try:
        run(["power", "read", "--wait", "0"])
    finally:
        simulator.management.clear(serial)

    assert "try: --wait 30 if a power sequence is running" in capsys.readouterr().err
