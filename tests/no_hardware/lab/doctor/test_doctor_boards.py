"""`hil doctor` on simulated boards with faults, in use, or with a DUT that must not notice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hil.cli.main import run
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.locks.lease import holder_of
from hil.lab.safe_state.record import BoardRecord, BoardState, SafetyEvent, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
VENDOR_OUT, POWER, STORAGE, CONFIG, PIN = 0x41, 1, 2, 3, 5
SIMULATOR = {"boards": 1, "speed": 5}


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Iterator[str]:
    """The board; nothing is wrong with it before and after."""
    serial = simulator.serials()[0]
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    monkeypatch.setenv("HIL_LAB", "none")
    yield serial
    simulator.management.clear(serial)
    monkeypatch.setenv("HIL_LAB", "none")
    run(["power", "force-off"])
    simulator.management.fault(serial, "replug") if not simulator.management.state(serial)[
        "plugged"
    ] else None


def examined(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status, and for each check its worst finding."""
    capsys.readouterr()
    status = run(["--json", "doctor", *options])
    findings = json.loads(capsys.readouterr().out)["findings"]
    findings.sort(key=lambda finding: finding["outcome"] == "problem")
    return status, {finding["check"]: finding for finding in findings}


def test_doctor_finds_no_problem_with_healthy_boards(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = examined(capsys)

    well = {
        "libusb",
        "boards",
        "left safe",
        "power sequences",
        "console",
        "stick",
        "lock folder",
        "disk space",
    }
    assert (status, {found[check]["outcome"] for check in well}) == (0, {"ok"})
    assert simulator.management.state(serial)["mux"] == "off"


def test_doctor_prints_lines_and_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["doctor", "--quick"])

    said = capsys.readouterr().out.splitlines()
    assert (status, said[-1].startswith("no problem, ")) == (0, True)
    assert any(line.startswith("not checked stick of ") for line in said)


@pytest.mark.parametrize(
    ("fault", "arguments", "check", "says"),
    [
        ("boot_loader", {}, "boot loader", "is in DFU mode (2b23:1012)"),
        ("boot_loader", {"product_id": 0xE012}, "boot loader", "is in DFU mode (2b23:e012)"),
        ("unplug", {}, "boards", "no DUTLink board found on"),
        ("hang", {}, "boards", ""),
        ("deny", {}, "permission", "may not be opened"),
        ("stick_missing", {}, "stick", "no stick on the host"),
        ("no_backend", {}, "libusb", ""),
    ],
)
def test_doctor_finds_each_fault(  # noqa: PLR0913, PLR0917 - a table's columns
    simulator: SimulatorProcess,
    serial: str,
    fault: str,
    arguments: dict[str, Any],
    check: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulator.management.fault(serial, fault, **arguments)

    status, found = examined(capsys)

    simulator.management.clear(serial)
    if fault in {"boot_loader", "unplug"}:
        simulator.management.fault(serial, "replug")
    assert (status, found[check]["outcome"]) == (1, "problem"), found
    assert says in found[check]["says"]
    assert found[check]["remedy"]


def test_doctor_finds_a_stick_of_the_lab_file_that_does_not_follow_the_mux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "disk").write_bytes(bytes(512))
    lab = f'[place.a]\nserial = "{serial}"\nstick = "{tmp_path / "disk"}"\n'
    (tmp_path / "lab.toml").write_text(lab)
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    status, found = examined(capsys)

    assert (status, found["stick"]["outcome"]) == (1, "problem")
    assert f"hil enroll --board {serial}" in found["stick"]["remedy"]


def test_doctor_does_not_disturb_a_powered_dut(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["storage", "dut"])
    run(["power", "force-on"])
    before = simulator.management.state(serial)
    _, since = simulator.management.log(serial)

    _, found = examined(capsys)

    requests, _ = simulator.management.log(serial, since)
    sent = {each["bRequest"] for each in requests if each["bmRequestType"] == VENDOR_OUT}
    after = simulator.management.state(serial)
    assert sent & {POWER, STORAGE, CONFIG, PIN} == set()
    assert (after["mux"], after["supply"]) == ("dut", True)
    assert after["dut"]["uart_received_bytes"] == before["dut"]["uart_received_bytes"]
    assert {found["stick"]["outcome"], found["console"]["outcome"]} == {"not checked"}
    assert "its DUT is on" in found["stick"]["why"]


def test_doctor_leaves_a_board_in_use_alone(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with acquire(serial, test="test_boot"):
        _, since = simulator.management.log(serial)
        status, found = examined(capsys)
        requests, _ = simulator.management.log(serial, since)

    assert (status, "test_boot" in found["board"]["why"]) == (0, True)
    assert all(each["bmRequestType"] != VENDOR_OUT for each in requests)


def test_doctor_leaves_a_place_alone_that_says_leave(
    simulator: SimulatorProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    serial: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "lab.toml").write_text(f'[place.a]\nserial = "{serial}"\nsafe = "leave"\n')
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))
    run(["storage", "dut"])

    _, found = examined(capsys, "--board", "a")

    assert "left alone" in found["stick"]["why"]
    assert simulator.management.state(serial)["mux"] == "dut"


@pytest.mark.parametrize("cause", ["libusb", "lock folder"])
def test_doctor_reports_one_cause_as_one_problem(  # noqa: PLR0913, PLR0917 - its fixtures
    simulator: SimulatorProcess,
    serial: str,
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if cause == "libusb":
        simulator.management.fault(serial, "no_backend")
    else:
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad").chmod(0o777)
        monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "bad"))

    _, found = examined(capsys)

    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    problems = [check for check, finding in found.items() if finding["outcome"] == "problem"]
    assert problems == [cause]


def test_doctor_finds_a_board_that_was_not_left_safe(
    tmp_path: Path, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(capsys, "--quick")  # makes the folder
    write_record(tmp_path / "locks", serial, BoardRecord(BoardState.UNSAFE))

    status, found = examined(capsys, "--quick")

    assert (status, found["left safe"]["remedy"]) == (1, f"hil safe {serial}")


def test_doctor_names_the_holder_that_left_a_board_in_use(
    tmp_path: Path, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(capsys, "--quick")  # makes the folder
    earlier = BoardRecord().with_event(SafetyEvent.made_safe("ada ended", "guard", 0.0))
    write_record(tmp_path / "locks", serial, earlier.marked_in_use(Holder.here()._replace(user="bob")))

    _, found = examined(capsys, "--quick")

    assert found["left safe"]["why"].startswith("bob (pid ")


def test_doctor_finds_wrong_and_differing_power_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lab.toml").write_text(f'[place.a]\nserial = "{serial}"\npower_on = "p1,w1"\n')
    monkeypatch.setenv("HIL_LAB", str(tmp_path / "lab.toml"))

    status, found = examined(capsys, "--quick")

    assert (status, found["power sequences"]["remedy"]) == (1, f"hil settings apply --board {serial}")


def test_doctor_rejects_an_unknown_source_of_boards() -> None:
    assert run(["doctor", "--boards", "sim:2"]) == 2


def test_doctor_names_the_holder_that_was_killed_if_its_record_was_removed(
    serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = acquire(serial)
    killed.lock.close()

    _, found = examined(capsys, "--quick")

    assert found["left safe"]["why"].startswith(killed.holder.name)


def test_doctor_leaves_the_name_of_the_killed_holder_of_a_silent_board(
    tmp_path: Path, serial: str, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = acquire(serial)
    killed.lock.close()
    simulator.management.fault(serial, "hang")

    examined(capsys, "--quick")

    assert holder_of(tmp_path / "locks", serial) == killed.holder
