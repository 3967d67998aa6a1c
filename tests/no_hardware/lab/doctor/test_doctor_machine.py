"""`hil doctor` on machines with one fault each: the check finds it and names its fix."""

from __future__ import annotations

import getpass
import os
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.discovery import ProbeResult
from hil.dutlink.host import Host
from hil.errors import BoardDeniedError, BoardLostError, UsageError, Verdict
from hil.lab.config.lab import Lab
from hil.lab.config.place import Place
from hil.lab.doctor.checks import usb_access
from hil.lab.doctor.checks.bus import boards_on_the_bus, hub_power
from hil.lab.doctor.checks.console import modem_manager, tty_holders
from hil.lab.doctor.checks.host import clock, disk_space, guard_survival, locks
from hil.lab.doctor.checks.services import services
from hil.lab.doctor.checks.stored_state import lab_file
from hil.lab.doctor.checks.usb_access import group_membership, libusb, udev_rule
from hil.lab.doctor.context import Check, DoctorContext
from hil.lab.doctor.finding import CheckOutcome, Finding
from hil.lab.doctor.runner import run_checks
from hil.lab.locks.acquire import acquire
from hil.lab.udev.rule import StickPlace
from hil.lab.udev.unit_escapes import command_line
from tests.no_hardware.lab.doctor.fake_machine import APPLIED, BOARD, FakeMachine
from tests.support.other_user import MALLORY, only_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERIAL = "0df10035"
ME = getpass.getuser()
DENIED = BoardDeniedError("it may not be opened", why="no permission", remedy="udev --install")


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path / "machine")


def no_libusb() -> None:
    return None


def bench_of(machine: FakeMachine, *seen: ProbeResult, **facts: object) -> DoctorContext:
    context = DoctorContext(host_info=machine.facts, **facts)  # type: ignore[arg-type]
    context.__dict__["probe_results"] = list(seen)
    return context


def found(check: Check, context: DoctorContext) -> Finding:
    """The first problem, else the first finding."""
    findings = list(check(context))
    return next((each for each in findings if each.outcome is CheckOutcome.PROBLEM), findings[0])


HOST_CHECKS = [udev_rule, group_membership, services, modem_manager, tty_holders, hub_power]


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_check_finds_no_problem_on_a_healthy_machine(machine: FakeMachine, check: Check) -> None:
    assert [finding.outcome for finding in check(bench_of(machine))] == [CheckOutcome.OK]


@pytest.mark.parametrize("check", HOST_CHECKS, ids=lambda check: check.__name__)
def test_check_is_skipped_if_boards_are_elsewhere(machine: FakeMachine, check: Check) -> None:
    machine.become(has_boards=False)

    assert found(check, bench_of(machine)).outcome is CheckOutcome.SKIPPED


def without_rule(machine: FakeMachine) -> None:
    (machine.root / "etc/udev/rules.d/60-dutlink.rules").unlink()


def with_an_old_rule(machine: FakeMachine) -> None:
    machine.write("etc/udev/rules.d/60-dutlink.rules", 'ATTR{idVendor}=="2b23", MODE="0666"\n')


def with_a_group_that_udev_does_not_know(machine: FakeMachine) -> None:
    said = "/etc/udev/rules.d/60-dutlink.rules:20 Failed to resolve group 'plugdev', ignoring: Unknown group"
    machine.become(udev_test=lambda _device: f"{said}\n{APPLIED}")


def with_a_rule_that_udev_drops(machine: FakeMachine) -> None:
    machine.become(udev_test=lambda _device: "ID_VENDOR_ID=2b23")


def with_a_rule_that_is_a_comment(machine: FakeMachine) -> None:
    without_rule(machine)
    machine.write("etc/udev/rules.d/70-notes.rules", '# ATTR{idVendor}=="2b23", MODE="0666"\n')


def outside_of_the_group(machine: FakeMachine) -> None:
    machine.become(user="eve", gids=frozenset({1000}))


def in_the_group_from_the_next_login_on(machine: FakeMachine) -> None:
    machine.become(gids=frozenset({1000}))


def without_the_group(machine: FakeMachine) -> None:
    machine.become(gids=frozenset({1000}))
    machine.write("etc/group", "root:x:0:\n")


def with_a_modem_manager(machine: FakeMachine) -> None:
    machine.process(77, "ModemManager")
    machine.write("run/udev/data/c166:0", "E:ID_VENDOR=Red_Hat\n")


def with_a_terminal_left_open(machine: FakeMachine) -> None:
    machine.process(88, "minicom", "/dev/null", "/dev/ttyACM0")


def behind_a_hub_without_supply(machine: FakeMachine) -> None:
    machine.device("1-2", idVendor="05e3", idProduct="0608", bmAttributes="a0", bMaxPower="100mA")
    machine.device("1-2.3", **BOARD, serial="5a1c0e01")


def refused_by_its_hub(machine: FakeMachine) -> None:
    machine.write("sys/bus/usb/devices/1-1/bConfigurationValue", "")


@pytest.mark.parametrize(
    ("planted", "check", "says", "fix"),
    [
        (without_rule, udev_rule, "no udev rule", "udev --install"),
        (with_an_old_rule, udev_rule, "not this version's", "udev --install"),
        (with_a_group_that_udev_does_not_know, udev_rule, "no group plugdev", "groupadd --system plugdev"),
        (with_a_rule_that_udev_drops, udev_rule, "does not apply", "udev --install"),
        (with_a_rule_that_is_a_comment, udev_rule, "no udev rule", "udev --install"),
        (outside_of_the_group, group_membership, "eve is not in plugdev", "--groups plugdev eve"),
        (in_the_group_from_the_next_login_on, group_membership, "this session is not", "newgrp plugdev"),
        (without_the_group, group_membership, "not in plugdev", "groupadd --system plugdev; sudo usermod"),
        (with_a_modem_manager, modem_manager, "ModemManager (pid 77)", "restart ModemManager"),
        (with_a_terminal_left_open, tty_holders, f"minicom (pid 88, of {ME}) has ttyACM0 open", "kill 88"),
        (behind_a_hub_without_supply, hub_power, "board 5a1c0e01 is plugged into a hub", "its own supply"),
        (refused_by_its_hub, hub_power, "board 0df10035 is not switched on", "its own supply"),
    ],
    ids=lambda part: getattr(part, "__name__", None),
)
def test_check_finds_a_problem_and_names_its_fix(
    machine: FakeMachine, planted: Callable[[FakeMachine], None], check: Check, says: str, fix: str
) -> None:
    planted(machine)

    finding = found(check, bench_of(machine))

    assert (finding.outcome, finding.board in {"", "5a1c0e01", SERIAL}) == (CheckOutcome.PROBLEM, True)
    assert says in finding.says
    assert fix in finding.fix


def test_udev_check_names_a_stick_that_the_rule_does_not_open(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = StickPlace(SERIAL, "1-3", "/devices/pci0000:00/usb1/1-3")
    monkeypatch.setattr(usb_access, "unopened_sticks", lambda *_, **__: [stick])

    *_, finding = udev_rule(bench_of(machine))

    assert (finding.outcome, finding.board) == (CheckOutcome.PROBLEM, SERIAL)
    assert "does not open the stick at USB socket 1-3" in finding.says
    assert "udev --install" in finding.fix


def test_group_check_passes_if_a_board_can_be_opened(machine: FakeMachine) -> None:
    outside_of_the_group(machine)

    finding = found(group_membership, bench_of(machine, ProbeResult(Verdict.PRESENT, SERIAL)))

    assert finding.outcome is CheckOutcome.OK


def test_hub_power_passes_for_a_hub_with_its_own_supply(machine: FakeMachine) -> None:
    machine.device("1-2", idVendor="05e3", idProduct="0608", bmAttributes="e0", bMaxPower="100mA")
    machine.device("1-2.3", **BOARD, serial="5a1c0e01")

    assert {finding.outcome for finding in hub_power(bench_of(machine))} == {CheckOutcome.OK}


def test_modem_manager_passes_if_udev_excludes_the_console(machine: FakeMachine) -> None:
    machine.process(77, "ModemManager")

    assert found(modem_manager, bench_of(machine)).outcome is CheckOutcome.OK


def test_boards_check_names_the_rule_for_a_denied_board(machine: FakeMachine) -> None:
    seen = ProbeResult(Verdict.DENIED, None, error=DENIED, location="bus 1 address 5")

    finding = found(boards_on_the_bus, bench_of(machine, seen))

    assert (finding.check, "udev --install" in finding.fix) == ("permission", True)
    assert "bus 1 address 5" in finding.says


SILENT = BoardLostError("it does not answer", why="no answer in time", remedy="replug it")


@pytest.mark.parametrize(("held", "outcome"), [(True, CheckOutcome.SKIPPED), (False, CheckOutcome.PROBLEM)])
def test_boards_check_reports_a_silent_board_unless_it_is_in_use(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool, outcome: CheckOutcome
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    seen = ProbeResult(Verdict.LOST, None, error=SILENT, location="bus 1 address 2")
    with acquire(SERIAL, test="test_long_sequence") if held else nullcontext():
        finding = found(boards_on_the_bus, bench_of(machine, seen))

    assert (finding.outcome, finding.board) == (outcome, SERIAL)
    assert ("test_long_sequence" in finding.why) == held


def test_run_checks_goes_on_without_libusb(machine: FakeMachine) -> None:
    context = DoctorContext(host=Host(backend=no_libusb), host_info=machine.facts)

    findings = list(run_checks(context))

    problems = [finding for finding in findings if finding.outcome is CheckOutcome.PROBLEM]
    assert problems[0].check == "libusb"
    assert "apt install libusb-1.0-0" in problems[0].fix
    assert {"udev rule", "hub power", "clock"} <= {finding.check for finding in findings}
    assert found(libusb, context).outcome is CheckOutcome.PROBLEM


def test_run_checks_goes_on_after_a_board_fails(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_bench: DoctorContext, serial: str, *_more: object) -> Iterator[Finding]:
        raise BoardLostError(f"board {serial} is gone")
        yield

    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setattr("hil.lab.doctor.runner._check_board", lost)
    serials = ("0df10035", "5a1c0e01")
    context = bench_of(machine, *(ProbeResult(Verdict.PRESENT, serial) for serial in serials))

    told = [finding.board for finding in run_checks(context) if finding.says.endswith("is gone")]

    assert told == list(serials)


def test_boards_check_reports_no_board(machine: FakeMachine) -> None:
    assert found(boards_on_the_bus, bench_of(machine)).fix == "plug it in, then: lsusb -d 2b23:"


@pytest.mark.parametrize(
    ("now_s", "kept", "outcome"),
    [(0.0, True, CheckOutcome.PROBLEM), (4e9, True, CheckOutcome.OK), (4e9, False, CheckOutcome.SKIPPED)],
)
def test_clock_check_reports_a_date_before_the_installation(
    machine: FakeMachine, now_s: float, kept: bool, outcome: CheckOutcome
) -> None:
    machine.become(now=lambda: now_s, clock_is_kept=lambda: kept)

    assert found(clock, bench_of(machine)).outcome is outcome


def test_disk_space_reports_a_full_disk(machine: FakeMachine, tmp_path: Path) -> None:
    machine.become(free_bytes=lambda folder: 1 << 20 if folder == tmp_path else 1 << 40)

    finding = found(disk_space, bench_of(machine, folder=tmp_path))

    assert finding.says == f"only 1 MiB are free in {tmp_path}"
    assert f"du -xh --max-depth=2 {tmp_path}" in finding.fix


def test_lock_folder_check_reports_a_folder_without_the_sticky_bit(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("HIL_LOCK_DIR", str(folder))
    finding = found(locks, bench_of(machine))
    assert (finding.outcome, finding.fix.startswith(f"sudo chmod 1777 {folder}")) == (
        CheckOutcome.PROBLEM,
        True,
    )
    folder.chmod(0o1777)

    assert found(locks, bench_of(machine)).outcome is CheckOutcome.OK


@pytest.mark.parametrize(
    "row",
    [
        (0o3770, "ok", "the group"),
        (0o1770, "problem", "chmod g+s"),
        (0o2770, "problem", "sticky"),
        (0o700, "ok", "alone"),
        (0o1777, "ok", "everybody"),
    ],
)
def test_lock_folder_check_depends_on_the_mode(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: tuple[int, str, str]
) -> None:
    mode, outcome, told = row
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(mode)
    monkeypatch.setenv("HIL_LOCK_DIR", str(folder))

    finding = found(locks, bench_of(machine))

    assert finding.outcome == outcome
    assert told in f"{finding.says} {finding.why} {finding.fix}"


def test_lock_folder_check_reports_a_spoilt_file(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o1777)
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    os.mkfifo(tmp_path / "hil-board-5a1c0e01.json")

    finding = found(locks, bench_of(machine))

    assert finding.outcome is CheckOutcome.PROBLEM
    assert f"sudo rm {tmp_path / 'hil-board-5a1c0e01.json'}" in finding.fix


@pytest.mark.parametrize("what", ["stick", "flash"])
def test_lock_folder_check_ignores_stick_files_of_other_users(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / f"hil-{what}-5a1c0e01-0.json").touch(mode=0o644)
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    found(locks, bench_of(machine))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)  # another user than the file's

    assert found(locks, bench_of(machine)).outcome is CheckOutcome.OK


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_lock_folder_check_reports_a_folder_that_may_not_be_written(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o555)
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))

    assert found(locks, bench_of(machine)).outcome is CheckOutcome.PROBLEM


def test_lab_file_check_reports_a_wrong_lab_file(machine: FakeMachine) -> None:
    error = UsageError(
        "lab.toml:3: unknown key serail", why="known are serial", remedy="did you mean serial?"
    )

    finding = found(lab_file, replace(bench_of(machine), lab_error=error))

    assert (finding.says, finding.fix) == (error.what, "did you mean serial?")


def test_lab_file_check_counts_one_place(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DoctorContext, "probe_results", ())
    lab = Lab(tmp_path / "lab.toml", {"rack": Place("5a1c0e01")})

    finding = next(iter(lab_file(replace(bench_of(machine), lab=lab))))

    assert finding.says.endswith("lab.toml has 1 place")


def test_host_checks_all_have_a_test() -> None:
    """One without a planted problem might be unable to fail; those of boards are tested beside."""
    tested = {udev_rule, group_membership, modem_manager, tty_holders, hub_power, boards_on_the_bus, libusb}
    tested |= {clock, disk_space, locks, lab_file, guard_survival, services}

    from hil.lab.doctor.runner import HOST_CHECKS  # noqa: PLC0415 - the name is taken above

    assert set(HOST_CHECKS.values()) == tested


UNIT = "[Service]\nExecStart=/opt/hil/python -m hil.cli.main safe --all\n"
NAMES = ["hil-safe.service", "hil-safe@.service", "hil-nightly.service", "hil-nightly-2.service"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("line", "here"),
    [
        ("", "/run/hil"),
        ("Environment=HIL_LOCK_DIR=/run/hil", ""),
        ("Environment=HIL_LOCK_DIR=/run/a", "/run/b"),
    ],
)
def test_services_check_reports_another_lock_folder(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, name: str, line: str, here: str
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", here)
    machine.write(f"etc/systemd/system/{name}", f"{UNIT}{line}\n")

    finding = found(services, bench_of(machine))

    assert (finding.outcome, name in finding.says) == (CheckOutcome.PROBLEM, True)
    assert f"HIL_LOCK_DIR={here}" in finding.says


@pytest.mark.parametrize("line", ["HIL_LOCK_DIR=/run/hil", '"HIL_LOCK_DIR=/run/hil"'])
def test_services_check_passes_for_the_same_lock_folder(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", "/run/hil")
    machine.write("etc/systemd/system/hil-safe.service", f"{UNIT}Environment={line}\n")
    machine.write("etc/systemd/system/backup.service", "[Service]\nExecStart=/bin/true\n")

    assert found(services, bench_of(machine)).outcome is CheckOutcome.OK


@only_root
@pytest.mark.parametrize("user", ["", "User=root\n", "User=ada\n"])
def test_services_check_reports_a_program_of_another_user(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", "")
    machine.write("opt/hil/python", "")
    os.chown(machine.root / "opt/hil", MALLORY, MALLORY)
    machine.write("etc/systemd/system/hil-safe.service", f"{UNIT}{user}")

    finding = found(services, bench_of(machine))

    assert finding.outcome is (CheckOutcome.OK if "ada" in user else CheckOutcome.PROBLEM)
    assert "ada" in user or f"uid {MALLORY}" in finding.says


@only_root
@pytest.mark.parametrize("program", ["/opt/hil/python", "/opt/my hil/python", '/opt/"100%"/$x/python'])
def test_services_check_reports_a_program_that_everybody_may_write(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", "")
    machine.write(program.lstrip("/"), "")
    (machine.root / program.lstrip("/")).chmod(0o777)
    text = f"[Service]\nExecStart={command_line(program, '-m', 'hil.cli.main')}\n"
    machine.write("etc/systemd/system/hil-safe.service", text)

    finding = found(services, bench_of(machine))

    assert (finding.outcome, f"{program} may be written" in finding.says) == (CheckOutcome.PROBLEM, True)


SITE = "opt/hil/lib/python3.12/site-packages"
ROOTS_UNIT = "[Service]\nExecStart=/opt/hil/bin/python -m hil.cli.main safe --all\n"


@only_root
@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("_dutlink_hil.pth", "/home/mallory/hil\n", id="a path file"),
        pytest.param("__editable___hil.py", "MAPPING = {'hil': '/home/mallory/hil'}\n", id="a finder"),
    ],
)
def test_services_check_reports_an_editable_hil_of_another_user(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", "")
    machine.write("opt/hil/bin/python", "")
    machine.write(f"{SITE}/{name}", text)
    machine.write("home/mallory/hil/hil/__init__.py", "")
    machine.write("etc/systemd/system/hil-safe.service", ROOTS_UNIT)
    before = found(services, bench_of(machine))
    os.chown(machine.root / "home/mallory", MALLORY, MALLORY)

    finding = found(services, bench_of(machine))

    assert (before.outcome, finding.outcome) == (CheckOutcome.OK, CheckOutcome.PROBLEM)
    assert f"uid {MALLORY}" in finding.says


@only_root
def test_services_check_reports_a_package_that_everybody_may_write(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", "")
    machine.write(f"{SITE}/_dutlink_hil.pth", "/srv/hil\n")
    machine.write("srv/hil/hil/__init__.py", "")
    (machine.root / "srv/hil/hil").chmod(0o777)
    machine.write("etc/systemd/system/hil-safe.service", ROOTS_UNIT)

    assert "srv/hil/hil may be written by others" in found(services, bench_of(machine)).says


@only_root
def test_services_check_reports_files_of_another_user_in_the_working_folder(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", "")
    machine.write("srv/tests/deep/conftest.py", "")
    machine.write("etc/systemd/system/hil-nightly.service", f"{ROOTS_UNIT}WorkingDirectory=/srv/tests\n")
    before = found(services, bench_of(machine))
    os.chown(machine.root / "srv/tests/deep/conftest.py", MALLORY, MALLORY)

    finding = found(services, bench_of(machine))

    assert (before.outcome, finding.outcome) == (CheckOutcome.OK, CheckOutcome.PROBLEM)
    assert "deep/conftest.py belongs to" in finding.says
