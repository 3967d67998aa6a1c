"""The unit that udev starts makes a board safe that was unplugged when its run died and then returned."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from hil.boards.sources import simulated_host
from hil.cli.main import run
from hil.dutlink.board import open_driver
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.safe_state.record import BoardRecord, BoardState, read_record, write_record
from hil.lab.udev.safe_unit import unit_text
from tests.no_hardware.nightly.own_systemd import own_systemd

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
SIMULATOR = {"boards": 1, "speed": 5}


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Path:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setenv("HIL_LOCK_DIR", str(folder))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    return folder


@pytest.fixture
def powered(simulator: SimulatorProcess) -> str:
    """The board's serial number; its DUT is on."""
    (serial,) = simulator.serials()
    with open_driver(simulated_host(simulator.ready), serial, console=False) as board:
        board.power.force_on()
    return serial


def left(locks: Path, serial: str, state: BoardState) -> None:
    record = BoardRecord().marked_in_use(Holder.here("test_killed"))
    write_record(locks, serial, record if state is BoardState.IN_USE else record.marked_safe())


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return str(json.loads(capsys.readouterr().out)["outcome"])


def test_safe_if_unsafe_makes_a_board_safe_that_its_record_calls_unsafe(
    powered: str, locks: Path, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    left(locks, powered, BoardState.IN_USE)

    assert run(["--json", "safe", "--if-unsafe", powered]) == 0

    assert (told(capsys), simulator.management.state(powered)["supply"]) == ("safe", False)
    assert read_record(locks, powered).state is BoardState.SAFE


def test_safe_if_unsafe_leaves_alone_what_was_left_on_by_hand(
    powered: str, locks: Path, simulator: SimulatorProcess
) -> None:
    left(locks, powered, BoardState.SAFE)

    assert run(["--json", "safe", "--if-unsafe", powered]) == 0

    assert simulator.management.state(powered)["supply"] is True


def test_safe_if_unsafe_leaves_a_board_to_the_run_that_holds_it(
    powered: str, locks: Path, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    left(locks, powered, BoardState.IN_USE)
    with acquire(powered):
        assert run(["--json", "safe", "--if-unsafe", "--wait", "0.1", powered]) == 0

    assert (told(capsys), simulator.management.state(powered)["supply"]) == ("busy", True)


def test_safe_if_unsafe_needs_a_serial_number() -> None:
    assert run(["safe", "--if-unsafe", "--all"]) == 2


def test_safe_unit_makes_a_returning_board_safe(
    powered: str, locks: Path, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    left(locks, powered, BoardState.IN_USE)
    from pathlib import Path as HostPath  # noqa: PLC0415 - for the interpreter's own path

    unit = tmp_path / "hil-safe@.service"
    text = unit_text(HostPath(sys.executable), lock_folder=str(locks))
    unit.write_text(
        text.replace("Type=oneshot", f"Type=oneshot\nEnvironment=HIL_BOARDS=sim@{simulator.management.port}")
    )
    with own_systemd() as systemd:
        systemd.run("cp", unit, "/etc/systemd/system/")
        systemd.run("systemctl", "daemon-reload")
        started = systemd.run("systemctl", "start", f"hil-safe@{powered}.service")

        assert started.returncode == 0, started.stderr
        assert systemd.tells(f"hil-safe@{powered}.service", "Result") == "success"
    assert simulator.management.state(powered)["supply"] is False
    assert read_record(locks, powered).state is BoardState.SAFE
