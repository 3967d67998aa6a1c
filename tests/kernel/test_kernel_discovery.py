"""Finding boards with the real libusb, and what kernel and udev make of the simulated descriptors."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import usb.core

from hil.dutlink.board import open_driver
from hil.dutlink.discovery import list_boards, probe
from hil.dutlink.host import Host
from hil.errors import BoardAbsentError, Verdict
from tests.kernel.attached import tty_node, usb_folder

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board
    from tests.kernel.attached import Bench

CONTROL_INTERFACE = 3


def folder_of(serial: str) -> Path:
    folder = usb_folder(serial)
    assert folder is not None
    return folder


def udev_properties(*arguments: str) -> dict[str, str]:
    said = subprocess.run(
        ["udevadm", "info", "--query=property", *arguments], check=True, capture_output=True, text=True
    ).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def driver(folder: Path, interface: int) -> str | None:
    link = folder / f"{folder.name}:1.{interface}" / "driver"
    return link.resolve().name if link.exists() else None


@pytest.fixture
def both(serial: str, other_serial: str) -> list[str]:
    return sorted([serial, other_serial])


def test_libusb_lists_both_boards_by_their_ids(both: list[str]) -> None:
    found = usb.core.find(find_all=True, idVendor=0x2B23, idProduct=0x1012)

    assert sorted(device.serial_number for device in found) == both


def test_libusb_reads_the_strings_that_the_firmware_has(serial: str) -> None:
    device = usb.core.find(idVendor=0x2B23, serial_number=serial)

    assert (device.manufacturer, device.product) == ("Red Hat Inc.", "Dutlink")


def test_the_driver_lists_both_boards_as_present(both: list[str]) -> None:
    seen = list_boards(Host(), limit_s=5.0)

    assert sorted((one.serial, one.verdict) for one in seen) == [(one, Verdict.PRESENT) for one in both]


def test_a_board_is_opened_by_its_serial_number(other_serial: str) -> None:
    with open_driver(Host(), other_serial, console=False) as board:
        answered = board.settings.read()

    assert (board.serial, answered is not None) == (other_serial, True)


def test_a_serial_number_that_no_board_has_is_absent(both: list[str]) -> None:
    with pytest.raises(BoardAbsentError, match="only other boards are on the bus"):
        open_driver(Host(), "00000000")

    assert len(both) == 2


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("idVendor", "2b23"),
        ("idProduct", "1012"),
        ("bcdDevice", "0009"),
        ("version", "2.10"),
        ("speed", "12"),
        ("bMaxPower", "250mA"),
        ("bMaxPacketSize0", "64"),
        ("bNumInterfaces", "4"),
        ("bDeviceClass", "00"),
    ],
)
def test_the_kernel_reads_the_facts_of_the_board(serial: str, attribute: str, value: str) -> None:
    assert (folder_of(serial) / attribute).read_text("ascii").strip() == value


def test_cdc_acm_has_the_serial_port_and_nobody_the_control_interface(serial: str) -> None:
    drivers = [driver(folder_of(serial), interface) for interface in range(4)]

    assert drivers == ["cdc_acm", "cdc_acm", None, None]


def test_control_requests_work_while_cdc_acm_is_bound(board: Board) -> None:
    board.settings.read()

    assert driver(folder_of(board.serial), 0) == "cdc_acm"


def test_udev_names_the_tty_by_the_serial_number(serial: str) -> None:
    properties = udev_properties(f"--name={tty_node(serial).resolve()}")

    assert (properties["ID_SERIAL_SHORT"], properties["ID_USB_DRIVER"]) == (serial, "cdc_acm")


def test_udevs_list_of_interfaces_lacks_the_control_interface(serial: str) -> None:
    listed = udev_properties(f"--path={folder_of(serial)}")["ID_USB_INTERFACES"]

    assert "ff0101" not in listed


def test_a_board_that_comes_back_is_found_at_once_by_a_new_look(bench: Bench, serial: str) -> None:
    bench.replug(serial)

    assert probe(Host(), serial).verdict is Verdict.PRESENT


def test_a_board_that_comes_back_has_its_settings_but_no_power(bench: Bench, board: Board) -> None:
    board.settings.write(name="survivor")
    board.power.force_on()

    bench.replug(board.serial)

    truth = bench.management.state(board.serial)
    assert (truth["settings"]["name"], truth["supply"]) == ("survivor", False)
