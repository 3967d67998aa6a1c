"""Who may use a board: the udev rule of this project, applied by the real udev."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from tests.kernel.attached import ATTACH_LIMIT_S, tty_node, usb_folder
from tests.kernel.desk import INSIDER, OUTSIDER
from tests.kernel.inner_suite import READS, TALKS, run_suite

if TYPE_CHECKING:
    from tests.kernel.attached import Bench

pytestmark = pytest.mark.usefixtures("users")


def _properties(path: Path | str) -> str:
    return subprocess.run(
        ["udevadm", "info", "--query=property", f"--path={path}"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.usefixtures("rule")
def test_the_rule_lets_a_member_of_its_group_use_a_board_that_is_plugged_in(
    bench: Bench, serial: str, tmp_path: Path
) -> None:
    bench.replug(serial)

    outcomes = run_suite(tmp_path, READS + TALKS, user=INSIDER)

    assert {name: one.result for name, one in outcomes.items()} == {
        "test_reads": "passed",
        "test_talks": "passed",
    }, outcomes


@pytest.mark.usefixtures("rule", "serial")
def test_anybody_else_is_denied_and_told_to_join_the_group(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, READS, user=OUTSIDER)["test_reads"]

    assert (outcome.result, outcome.message.startswith("USB not available: ")) == ("skipped", True)
    assert f"sudo usermod -aG plugdev {OUTSIDER}, then log in again" in outcome.message


def test_without_the_rule_a_member_of_the_group_is_denied_and_that_fails_where_hardware_is_required(
    bench: Bench, boards: tuple[str, ...], tmp_path: Path
) -> None:
    for serial in boards:
        bench.replug(serial)  # a node keeps the group that a rule gave it

    outcome = run_suite(tmp_path, READS, "--hil-require", user=INSIDER)["test_reads"]

    assert (outcome.result, "USB not available: " in outcome.message) == ("error", True)


@pytest.mark.usefixtures("rule")
def test_the_rule_keeps_modem_manager_away_from_board_and_tty(serial: str) -> None:
    tty = Path("/sys/class/tty") / tty_node(serial).resolve().name

    told = [_properties(tty), _properties(usb_folder(serial) or "")]

    assert ["ID_MM_DEVICE_IGNORE=1" in properties for properties in told] == [True, True]


@pytest.mark.usefixtures("rule")
def test_the_rule_names_the_tty_by_the_serial_number(serial: str) -> None:
    assert Path("/dev/dutlink", serial).resolve() == tty_node(serial).resolve()


@pytest.mark.usefixtures("rule")
def test_the_rule_gives_a_boot_loader_to_the_group_as_well(bench: Bench, serial: str) -> None:
    bench.management.fault(serial, "boot_loader")
    bench.wait_until_boot_loader(serial)

    assert until(lambda: _node(serial).group() == "plugdev", ATTACH_LIMIT_S)


def _node(serial: str) -> Path:
    """The device node that libusb opens."""
    folder = usb_folder(serial) or Path()
    bus, device = (int((folder / name).read_text("ascii")) for name in ("busnum", "devnum"))
    return Path(f"/dev/bus/usb/{bus:03}/{device:03}")
