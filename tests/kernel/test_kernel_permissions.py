"""Who may use a board: the udev rule of this project, applied by the real udev."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attached import tty_node, usb_folder
from desk import INSIDER, OUTSIDER
from inner_suite import READS, run_suite

if TYPE_CHECKING:
    from attached import Bench

pytestmark = pytest.mark.usefixtures("users")


def _properties(path: Path | str) -> str:
    return subprocess.run(
        ["udevadm", "info", "--query=property", f"--path={path}"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.usefixtures("rule", "serial")
def test_the_rule_lets_a_member_of_its_group_use_board_and_console(tmp_path: Path) -> None:
    source = READS + "\ndef test_console(console):\n    assert '0.09' in console.shell('version')\n"

    outcomes = run_suite(tmp_path, source, user=INSIDER)

    assert {name: one.result for name, one in outcomes.items()} == {
        "test_reads": "passed",
        "test_console": "passed",
    }


@pytest.mark.usefixtures("rule", "serial")
def test_anybody_else_is_denied_and_told_of_the_rule(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, READS, user=OUTSIDER)["test_reads"]

    assert (outcome.result, outcome.message.startswith("USB not available: ")) == ("skipped", True)
    assert "/etc/udev/rules.d/" in outcome.message


@pytest.mark.usefixtures("serial")
def test_without_the_rule_a_member_of_the_group_is_denied_too(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, READS, user=INSIDER)["test_reads"]

    assert (outcome.result, outcome.message.startswith("USB not available: ")) == ("skipped", True)


@pytest.mark.usefixtures("serial")
def test_being_denied_is_a_failure_where_hardware_is_required(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, READS, "--hil-require", user=OUTSIDER)["test_reads"]

    assert (outcome.result, "USB not available: " in outcome.message) == ("error", True)


@pytest.mark.usefixtures("rule")
def test_the_rule_applies_to_a_board_that_is_plugged_in_later(
    bench: Bench, serial: str, tmp_path: Path
) -> None:
    bench.replug(serial)

    assert run_suite(tmp_path, READS, user=INSIDER)["test_reads"].result == "passed"


@pytest.mark.usefixtures("rule")
def test_the_rule_keeps_modem_manager_away_from_board_and_tty(serial: str) -> None:
    tty = Path("/sys/class/tty") / tty_node(serial).resolve().name

    told = [_properties(tty), _properties(usb_folder(serial) or "")]

    assert ["ID_MM_DEVICE_IGNORE=1" in properties for properties in told] == [True, True]


@pytest.mark.usefixtures("rule")
def test_the_rule_names_the_tty_by_the_serial_number(serial: str) -> None:
    assert Path("/dev/dutlink", serial).resolve() == tty_node(serial).resolve()


@pytest.mark.usefixtures("rule")
def test_the_rule_opens_a_boot_loader_as_well(bench: Bench, serial: str, tmp_path: Path) -> None:
    for one in bench.serials:
        bench.control.fault(one, "boot_loader")
        bench.wait_until_boot_loader(one)

    outcome = run_suite(tmp_path, READS, user=INSIDER)["test_reads"]

    bench.restore(bench.serials[1])
    assert (outcome.result, "boot loader" in outcome.message, serial != "") == ("skipped", True, True)
