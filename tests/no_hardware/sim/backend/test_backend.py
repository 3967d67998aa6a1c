"""pyusb on simulated boards: the backend behaves as libusb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
import usb.core
import usb.util

from hil.errors import SimulatorError
from hil.sim.backend.backend import SimulatedHost, simulated_host
from hil.sim.process import SimulatorProcess
from tests.no_hardware.sim.backend.pyusb_view import REFRESH, error_of, read_version

CONSOLE_IN = 0x82
USB_ERROR = usb.core.USBError
BUSY = (USB_ERROR, 16, -6)
NOT_FOUND = (USB_ERROR, 2, -5)
SIMULATOR = {"boards": 2, "speed": 20}


def test_every_board_is_listed() -> None:
    with SimulatorProcess(boards=2) as simulator:  # where nothing was unplugged: that is listed for a while
        backend = simulated_host(simulator.ready).backend()
        found = usb.core.find(find_all=True, backend=backend, idVendor=0x2B23, idProduct=0x1012)

        assert sorted(board.serial_number for board in found) == sorted(simulator.serials())


def test_board_has_its_place_on_the_bus(board: Any) -> None:
    assert (board.bus, board.port_number, board.port_numbers) == (1, 1, (1,))


def test_board_is_a_full_speed_device(board: Any) -> None:
    assert board.speed == usb.util.SPEED_FULL


def test_strings_are_read_from_the_board(board: Any) -> None:
    assert (board.manufacturer, board.product) == ("Red Hat Inc.", "Dutlink")


def test_control_interface_is_found_by_its_class(board: Any) -> None:
    configuration = board.get_active_configuration()

    interface = usb.util.find_descriptor(configuration, bInterfaceClass=0xFF, bInterfaceSubClass=1)

    assert (interface.bInterfaceNumber, interface.bNumEndpoints) == (3, 0)


def test_endpoints_are_described(board: Any) -> None:
    data = board.get_active_configuration()[(1, 0)]

    assert [(ep.bEndpointAddress, ep.wMaxPacketSize) for ep in data] == [(0x82, 64), (0x01, 64)]


def test_class_descriptors_are_extra_descriptors(board: Any) -> None:
    control = board.get_active_configuration()[(0, 0)]

    assert bytes(control.extra_descriptors[:5]) == bytes((5, 0x24, 0, 0x10, 1))


def test_board_has_no_parent(board: Any) -> None:
    assert board.parent is None


def test_control_request_is_answered(board: Any) -> None:
    board.ctrl_transfer(*REFRESH)

    assert read_version(board) == b"0.09 git-ref: 1a2b3c4"


def test_control_transfer_that_writes_returns_its_length(board: Any) -> None:
    assert board.ctrl_transfer(0x41, 3, 0, 3, b"bench 7") == 7


def test_unknown_request_stalls(board: Any) -> None:
    assert error_of(board.ctrl_transfer, 0xC1, 99, 0, 3, 64) == (USB_ERROR, 32, -9)


def test_read_without_an_answer_times_out(board: Any) -> None:
    usb.util.claim_interface(board, 2)
    board.detach_kernel_driver(0)
    try:
        error = error_of(board.read, CONSOLE_IN, 64, timeout=50)
    finally:
        usb.util.dispose_resources(board)
        board.attach_kernel_driver(0)

    assert error == (usb.core.USBTimeoutError, 110, -7)


def test_kernel_driver_is_active_on_the_console_interfaces(board: Any) -> None:
    assert [board.is_kernel_driver_active(number) for number in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("interface", [0, 1])
def test_claim_of_an_interface_with_a_kernel_driver_is_busy(board: Any, interface: int) -> None:
    assert error_of(usb.util.claim_interface, board, interface) == BUSY


def test_claim_of_a_missing_interface_fails(board: Any) -> None:
    assert error_of(usb.util.claim_interface, board, 7) == NOT_FOUND


def test_set_configuration_with_a_kernel_driver_is_busy(board: Any) -> None:
    assert error_of(board.set_configuration) == BUSY


def test_class_request_to_an_interface_with_a_kernel_driver_is_busy(board: Any) -> None:
    assert error_of(board.ctrl_transfer, 0xA1, 0x21, 0, 0, 7) == BUSY


def test_set_configuration_without_claims_succeeds(board: Any) -> None:
    board.detach_kernel_driver(0)
    try:
        board.set_configuration()
    finally:
        board.attach_kernel_driver(0)

    assert read_version(board) is not None


def test_detach_of_a_missing_driver_fails(board: Any) -> None:
    assert error_of(board.detach_kernel_driver, 3) == NOT_FOUND


def test_release_of_an_unclaimed_interface_fails(host: SimulatedHost) -> None:
    backend = host.backend()
    handle = backend.open_device(next(iter(backend.enumerate_devices())))
    try:
        error = error_of(backend.release_interface, handle, 2)
    finally:
        backend.close_device(handle)

    assert error == NOT_FOUND


def test_clear_halt_needs_a_claimed_interface(board: Any) -> None:
    assert error_of(board.clear_halt, CONSOLE_IN) == BUSY


def test_alternate_setting_can_be_set(board: Any) -> None:
    board.set_interface_altsetting(interface=3, alternate_setting=0)

    assert read_version(board) is not None


def test_reset_leaves_the_handle_usable(board: Any) -> None:
    board.ctrl_transfer(*REFRESH)

    board.reset()

    assert read_version(board).startswith(b"0.09")


def test_isochronous_transfers_are_not_implemented(host: SimulatedHost) -> None:
    with pytest.raises(NotImplementedError):
        host.backend().iso_read(None, 0x81, 0, None, 0)


def test_two_handles_share_a_board(host: SimulatedHost, board: Any, serial: str) -> None:
    other = usb.core.find(backend=host.backend(), serial_number=serial)
    board.ctrl_transfer(*REFRESH)

    assert read_version(other) == read_version(board)
    usb.util.dispose_resources(other)


def test_waiting_read_does_not_block_another_thread(board: Any) -> None:
    """One handle for two threads: a bulk read waits while control requests go through."""
    board.detach_kernel_driver(0)
    usb.util.claim_interface(board, 1)
    reader = threading.Thread(target=lambda: error_of(board.read, CONSOLE_IN, 64, timeout=1500))
    reader.start()
    try:
        board.ctrl_transfer(*REFRESH)
        waits_still = reader.is_alive()
    finally:
        reader.join()
        usb.util.dispose_resources(board)
        board.attach_kernel_driver(0)

    assert waits_still


def test_processes_share_a_board(simulator: SimulatorProcess, board: Any) -> None:
    program = (
        "import json, sys, usb.core; from hil.sim.backend.backend import simulated_host;"
        "backend = simulated_host(json.loads(sys.argv[1])).backend();"
        "print(usb.core.find(backend=backend, idProduct=0x1012).product)"
    )
    read_version(board)
    said = subprocess.run(
        [sys.executable, "-c", program, json.dumps(simulator.ready)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        timeout=30,
    )

    assert said.stdout == b"Dutlink\n"


def test_every_request_is_logged_with_its_sender(
    simulator: SimulatorProcess, board: Any, serial: str
) -> None:
    _, since = simulator.management.log(serial)

    board.ctrl_transfer(0x41, 3, 0, 3, b"me")

    (request,), _ = simulator.management.log(serial, since)
    assert (request["sender"], request["bRequest"], request["data"], request["status"]) == (
        f"pid {os.getpid()}",
        3,
        b"me".hex(),
        0,
    )


def test_ended_simulator_is_an_error_and_no_absent_board() -> None:
    """An empty list would read as "no board", and a crashed simulator as a skip."""
    with SimulatorProcess(boards=1) as simulator:
        backend = simulated_host(simulator.ready).backend()

    with pytest.raises(SimulatorError, match="no simulated boards answer"):
        usb.core.find(backend=backend)


@pytest.mark.parametrize(("boards", "label"), [(1, "1 simulated board"), (2, "2 simulated boards")])
def test_host_label_says_that_it_is_simulated(boards: int, label: str) -> None:
    ready = {"boards": [{}] * boards, "bind": "0.0.0.0", "usbip_port": 1}  # noqa: S104 - as it is told
    ready |= {"dev": "/nowhere", "sys": "/nowhere", "speed": 2.0}

    assert simulated_host(ready).label == label
