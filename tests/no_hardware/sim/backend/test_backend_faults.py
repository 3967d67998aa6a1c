"""Each USB fault that was measured on Linux raises the same class, errno and libusb code here."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import usb.core
import usb.util

from tests.no_hardware.sim.backend.pyusb_view import REFRESH, error_of, read_version

if TYPE_CHECKING:
    from hil.sim.backend.backend import SimulatedHost
    from hil.sim.management.client import ManagementClient
    from hil.sim.process import SimulatorProcess

USB_ERROR = usb.core.USBError
STALLED = (USB_ERROR, 32, -9)
LATE = (usb.core.USBTimeoutError, 110, -7)
GONE = (USB_ERROR, 19, -4)
IO_ERROR = (USB_ERROR, 5, -1)
DENIED = (USB_ERROR, 13, -3)
SIMULATOR = {"boards": 2, "speed": 20}


@pytest.fixture
def control(simulator: SimulatorProcess) -> ManagementClient:
    return simulator.management


def listed(host: SimulatedHost) -> list[tuple[int, int]]:
    found = usb.core.find(find_all=True, backend=host.backend())
    return sorted((one.idVendor, one.idProduct) for one in found)


def test_stall_fails_the_given_number_of_requests(control: ManagementClient, serial: str, board: Any) -> None:
    control.fault(serial, "stall", count=2)

    assert [error_of(read_version, board), error_of(read_version, board)] == [STALLED, STALLED]
    assert read_version(board) is not None


def test_stall_applies_to_vendor_requests_only(control: ManagementClient, serial: str, board: Any) -> None:
    control.fault(serial, "stall")

    assert board.serial_number == serial
    assert error_of(read_version, board) == STALLED


def test_line_error_fails_one_transfer(control: ManagementClient, serial: str, board: Any) -> None:
    control.fault(serial, "line_error")

    assert error_of(read_version, board) == IO_ERROR
    assert read_version(board) is not None


def test_hang_makes_requests_time_out(control: ManagementClient, serial: str, board: Any) -> None:
    control.fault(serial, "hang")

    assert error_of(read_version, board, timeout_ms=50) == LATE


def test_hanging_board_is_listed(control: ManagementClient, serial: str, host: SimulatedHost) -> None:
    control.fault(serial, "hang")

    assert listed(host).count((0x2B23, 0x1012)) == 2


def test_hang_that_ends_in_time_lets_a_request_succeed(
    control: ManagementClient, serial: str, board: Any
) -> None:
    control.fault(serial, "hang")
    end = threading.Timer(0.05, control.fault, (serial, "hang"), {"on": False})
    end.start()

    assert read_version(board) is not None
    end.join()


def test_late_answer_makes_a_request_time_out(control: ManagementClient, serial: str, board: Any) -> None:
    control.fault(serial, "late", seconds=4)  # 0.2 s at this speed

    assert error_of(read_version, board, timeout_ms=50) == LATE


def test_late_answer_in_time_lets_a_request_succeed(
    control: ManagementClient, serial: str, board: Any
) -> None:
    control.fault(serial, "late", seconds=2)
    began = time.monotonic()

    read_version(board)

    assert time.monotonic() - began >= 0.1


def test_unplug_between_two_transfers_is_no_device(
    control: ManagementClient, serial: str, board: Any
) -> None:
    read_version(board)
    control.fault(serial, "unplug")

    assert error_of(read_version, board) == GONE


def test_unplug_during_a_transfer_is_no_device(control: ManagementClient, serial: str, board: Any) -> None:
    read_version(board)
    control.fault(serial, "hang")
    pull = threading.Timer(0.05, control.fault, (serial, "unplug"))
    pull.start()

    assert error_of(read_version, board) == GONE
    pull.join()


def test_old_handle_after_a_replug_is_no_device(control: ManagementClient, serial: str, board: Any) -> None:
    read_version(board)
    control.fault(serial, "replug")

    assert error_of(read_version, board) == GONE


def test_open_of_a_board_that_just_left_fails(control: ManagementClient, serial: str, board: Any) -> None:
    control.fault(serial, "unplug")
    usb.util.dispose_resources(board)

    assert error_of(read_version, board) in (IO_ERROR, GONE)  # gone from the list too, a moment later


def test_open_of_an_old_device_after_a_replug_is_no_device(
    control: ManagementClient, serial: str, board: Any
) -> None:
    control.fault(serial, "replug")
    usb.util.dispose_resources(board)

    assert error_of(read_version, board) == GONE


def test_replugged_board_is_found_again(control: ManagementClient, serial: str, host: SimulatedHost) -> None:
    control.fault(serial, "unplug")
    control.fault(serial, "replug")

    assert usb.core.find(backend=host.backend(), serial_number=serial) is not None


def test_unplugged_board_leaves_the_list(control: ManagementClient, serial: str, host: SimulatedHost) -> None:
    control.fault(serial, "unplug")
    deadline = time.monotonic() + 60
    while len(listed(host)) > 1 and time.monotonic() < deadline:
        time.sleep(0.005)  # nothing tells when a list will be shorter

    assert listed(host) == [(0x2B23, 0x1012)]


def test_denied_board_cannot_be_opened(control: ManagementClient, serial: str, board: Any) -> None:
    usb.util.dispose_resources(board)
    control.fault(serial, "deny")

    assert error_of(read_version, board) == DENIED


def test_denied_board_has_unreadable_strings(
    control: ManagementClient, serial: str, host: SimulatedHost
) -> None:
    control.fault(serial, "deny")
    first = usb.core.find(backend=host.backend(), port_number=1, bus=1)

    with pytest.raises(ValueError, match="no langid"):
        first.serial_number  # noqa: B018 - reading it is the act


def test_denied_board_is_not_found_by_its_serial_number(
    control: ManagementClient, serial: str, host: SimulatedHost
) -> None:
    control.fault(serial, "deny")

    assert usb.core.find(backend=host.backend(), serial_number=serial) is None


def test_no_backend_is_raised_by_a_new_backend(
    control: ManagementClient, serial: str, host: SimulatedHost
) -> None:
    control.fault(serial, "no_backend")

    with pytest.raises(usb.core.NoBackendError):
        host.backend()


def test_no_backend_is_raised_by_an_old_backend(
    control: ManagementClient, serial: str, host: SimulatedHost
) -> None:
    backend = host.backend()
    control.fault(serial, "no_backend")

    with pytest.raises(usb.core.NoBackendError):
        usb.core.find(backend=backend)


@pytest.mark.parametrize("product_id", [0xE012, 0x1012])
def test_boot_loader_is_listed_with_its_product_id(
    control: ManagementClient, serial: str, host: SimulatedHost, product_id: int
) -> None:
    control.fault(serial, "boot_loader", product_id=product_id)

    found = usb.core.find(backend=host.backend(), serial_number=serial)

    assert (found.idProduct, [one.bInterfaceClass for one in found[0]]) == (product_id, [0xFE])
    usb.util.dispose_resources(found)


def test_detach_request_restarts_the_board_as_its_boot_loader(
    control: ManagementClient, serial: str, board: Any
) -> None:
    board.ctrl_transfer(0x21, 0, 100, 2)
    deadline = time.monotonic() + 60
    while not control.state(serial)["boot_loader"] and time.monotonic() < deadline:
        time.sleep(0.005)  # the board counts its own time

    assert control.state(serial)["boot_loader"]


def test_settings_survive_a_replug(control: ManagementClient, serial: str, board: Any) -> None:
    board.ctrl_transfer(0x41, 3, 0, 3, b"survivor")

    control.fault(serial, "replug")

    assert control.state(serial)["settings"]["name"] == "survivor"


def test_supply_is_off_after_a_replug(control: ManagementClient, serial: str, board: Any) -> None:
    board.ctrl_transfer(0x41, 1, 3, 3)
    board.ctrl_transfer(*REFRESH)
    powered = control.state(serial)["supply"]

    control.fault(serial, "replug")

    assert (powered, control.state(serial)["supply"]) == (True, False)
