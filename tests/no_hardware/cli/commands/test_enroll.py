"""`hil enroll`: boards become places, the lab file keeps what it has, and the boards are safe afterwards."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hil.cli.main import run
from hil.lab.config.lab_file import read_lab
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.record import read_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
POWER, FORCE_ON, ON = 1, 3, 1
SIMULATOR = {"boards": 2, "speed": 10}


class Terminal(io.StringIO):
    """A terminal at which a user types answers."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Iterator[Path]:
    """Where the lab file will be."""
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    yield tmp_path / "lab.toml"
    monkeypatch.setenv("HIL_LAB", "none")
    for serial in simulator.serials():
        for key, value in simulator.management.state(serial)["settings"].items():
            if value:
                run(["settings", "set", key, "", "--board", serial])
        run(["power", "force-off", "--board", serial])


def enrolled(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = run(["--json", "enroll", *options])
    return status, json.loads(capsys.readouterr().out)


def test_enroll_adds_all_boards_as_places_and_leaves_them_safe(
    simulator: SimulatorProcess, lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    used = {board["serial"]: board["flash"]["blocks_used"] for board in simulator.management.states()}

    status, answer = enrolled(capsys, "--yes")

    read = read_lab(lab)
    assert (status, answer["written"], len(read.places)) == (0, True, 2)
    for serial in simulator.serials():
        truth = simulator.management.state(serial)
        assert read.wiring_of(serial).stick
        assert (truth["supply"], truth["mux"], truth["flash"]["blocks_used"]) == (False, "off", used[serial])
        assert not read_record(tmp_path / "locks", serial).needs_safety
    assert {board["console"] for board in answer["boards"]} == {"the board's own"}
    sticks = {read.wiring_of(serial).stick for serial in simulator.serials()}
    assert len(sticks) == 2
    assert {stick.parent.name for stick in sticks if stick} == {"by-path"}


def test_enroll_a_second_time_changes_nothing(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(capsys, "--yes", "--listen", "0")
    written = lab.read_text()

    status, answer = enrolled(capsys, "--yes", "--listen", "0")

    assert (status, answer["diff"], answer["written"], lab.read_text()) == (0, "", False, written)


def test_enroll_dry_run_writes_nothing(
    simulator: SimulatorProcess, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = simulator.serials()[0]
    before = simulator.management.state(serial)["settings"]
    options = ("--dry-run", "--board", serial, "--name", "x", "--tags", "y", "--listen", "0")

    status, answer = enrolled(capsys, *options)

    assert (status, "[place.x]" in answer["diff"], answer["written"]) == (0, True, False)
    assert not lab.exists()
    assert simulator.management.state(serial)["settings"] == before


def test_enroll_dry_run_leaves_a_dut_on_and_tells_what_it_would_store(
    simulator: SimulatorProcess, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = simulator.serials()[0]
    told = ["enroll", "--dry-run", "--board", serial, "--tags", "y", "--listen", "0"]
    status_off = run(told)
    said_off = capsys.readouterr().out
    assert run(["power", "on", "--board", serial]) == 0

    status_on = run(told)

    assert (status_off, "would store tags" in said_off) == (0, True)
    assert (status_on, "its DUT is on and stays on" in capsys.readouterr().out) == (1, True)
    assert simulator.management.state(serial)["supply"]
    assert run(["power", "force-off", "--board", serial]) == 0
    assert not lab.exists()


def test_enroll_stores_name_and_tags_on_the_board_once(
    simulator: SimulatorProcess, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = simulator.serials()[0]
    options = ("--yes", "--board", serial, "--name", "jetson-1", "--tags", "jetson, nvme", "--listen", "0")
    _, first = enrolled(capsys, *options)
    used = simulator.management.state(serial)["flash"]

    _, second = enrolled(capsys, *options)

    assert first["boards"][0]["stored"] == {"name": "jetson-1", "tags": "jetson,nvme"}
    assert (second["boards"][0]["stored"], simulator.management.state(serial)["flash"]) == ({}, used)
    assert list(read_lab(lab).places) == ["jetson-1"]


def test_enroll_stores_sequences_of_the_lab_file_that_differ(
    simulator: SimulatorProcess, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = simulator.serials()[0]
    lab.write_text(f'# ours\n[place.a]\nserial = "{serial}"\npower_on = "p1,w1"\n')

    _, answer = enrolled(capsys, "--yes", "--board", "a", "--listen", "0")
    run(["settings", "set", "power_on", "", "--board", serial])

    assert answer["boards"][0]["stored"] == {"power_on": "p1,w1"}
    assert lab.read_text().startswith("# ours\n")


def test_enroll_asks_its_questions_on_the_terminal(
    simulator: SimulatorProcess,
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serial = simulator.serials()[0]
    monkeypatch.setattr(sys, "stdin", Terminal("rack-7\nfast\nn\ny\n"))

    status = run(["enroll", "--board", serial, "--listen", "0"])

    said = capsys.readouterr()
    assert (status, "Name of the place of board" in said.err) == (0, True), said
    assert read_lab(lab).tags_of(serial) == {"fast"}
    assert simulator.management.state(serial)["settings"]["tags"] == ""


def test_enroll_asks_again_for_a_name_that_a_place_cannot_have(
    simulator: SimulatorProcess,
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    serial = simulator.serials()[0]
    monkeypatch.setattr(sys, "stdin", Terminal("rack 1\nrack-1\n\ny\ny\n"))

    status = run(["enroll", "--board", serial, "--listen", "0"])

    said = capsys.readouterr()
    assert (status, "31 characters at most" in said.err, "lab.toml:" in said.err) == (0, True, False), said
    assert list(read_lab(lab).places) == ["rack-1"]
    assert simulator.management.state(serial)["settings"]["name"] == "rack-1"
    assert said.out.splitlines()[-1].endswith(f"hil storage dut --board {serial}")


def test_enroll_stores_no_name_that_a_place_cannot_have(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = simulator.serials()[0]

    status, answer = enrolled(capsys, "--yes", "--board", serial, "--name", "rack 1", "--listen", "0")

    assert (status, answer["boards"][0]["stored"], answer["boards"][0]["place"]) == (1, {}, None)
    assert simulator.management.state(serial)["settings"]["name"] == ""


def test_enroll_asks_before_it_switches_a_dut_off(
    simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = simulator.serials()[0]
    run(["power", "force-on", "--board", serial])
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))

    status = run(["enroll", "--board", serial])

    said = capsys.readouterr().out.splitlines()[-3:]
    assert (status, simulator.management.state(serial)["supply"]) == (1, True)
    assert (said[0], said[-1].endswith("lab.toml: not written")) == (f"board {serial}: not enrolled", True), (
        said
    )


def test_enroll_without_an_answer_leaves_a_safe_board(
    simulator: SimulatorProcess, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = simulator.serials()[0]
    monkeypatch.setattr(sys, "stdin", Terminal(""))

    status = run(["enroll", "--board", serial, "--listen", "0"])
    with acquire(serial, wait_s=60):
        truth = simulator.management.state(serial)

    assert (status, truth["supply"], truth["mux"], lab.exists()) == (130, False, "off", False)


def test_enroll_skips_a_board_in_use(
    simulator: SimulatorProcess, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held, free = simulator.serials()
    with acquire(held, test="test_boot"):
        status, answer = enrolled(capsys, "--yes", "--wait", "0", "--listen", "0")

    assert (status, "test_boot" in answer["boards"][0]["problems"][0]) == (1, True)
    assert [place.serial for place in read_lab(lab).places.values()] == [free]


def test_enroll_reports_a_board_in_its_boot_loader_and_continues(
    simulator: SimulatorProcess, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ill, well = simulator.serials()
    simulator.management.fault(ill, "boot_loader")
    try:
        status, answer = enrolled(capsys, "--yes", "--listen", "0")
    finally:
        simulator.management.fault(ill, "replug")

    assert (status, "boot loader" in answer["boards"][0]["problems"][0]) == (1, True)
    assert [place.serial for place in read_lab(lab).places.values()] == [well]


def test_enroll_reports_a_stick_that_does_not_appear(
    simulator: SimulatorProcess, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = simulator.serials()[0]
    simulator.management.fault(serial, "stick_missing")
    try:
        status, answer = enrolled(capsys, "--yes", "--board", serial, "--listen", "0")
    finally:
        simulator.management.clear(serial)

    assert (status, "no stick appeared" in answer["boards"][0]["problems"][0]) == (1, True)
    assert read_lab(lab).wiring_of(serial).stick is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--name", "x", "--yes"], "--board"),
        (["--boards", "sim:2", "--yes"], "sim@PORT"),
        ([], "--yes"),
        (["--yes", "--file", "pyproject.toml/lab.toml"], "cannot be read"),
    ],
)
def test_enroll_refuses_misuse(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["enroll", *options])

    assert (status, said in capsys.readouterr().err) == (2, True)


def test_enroll_from_a_script_tells_first_that_there_is_no_board(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hil.cli.commands.enroll_dialog.list_boards", lambda _host: [])

    status = run(["enroll"])

    assert (status, "has no board to enroll" in capsys.readouterr().err) == (1, True)


def test_enroll_does_not_touch_a_lab_file_with_an_error(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write_text("[place.a]\nserail = 1\n")

    status = run(["enroll", "--yes"])

    assert (status, "lab.toml:2" in capsys.readouterr().err) == (2, True)
    assert lab.read_text() == "[place.a]\nserail = 1\n"


def test_enroll_says_that_the_sequence_has_lost_the_output_of_a_silent_console(
    simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    for serial in simulator.serials():
        run(["settings", "set", "power_on", "p1,w300", "--board", serial])

    _, answer = enrolled(capsys, "--yes", "--listen", "0.5")

    for board in answer["boards"]:
        assert "no console printed anything when power came on: what the DUT printed" in str(board)
        assert "put the waits before p1" in str(board)
