"""Fixtures for tests of the simulator: USB/IP server, fake device, simulated host and board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import usb.core
import usb.util

from hil.sim.backend.backend import SimulatedHost, simulated_host
from tests.support.usbip_bench import FakeDevice, ServerBench, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.host.bus import UsbPort
    from hil.sim.process import SimulatorProcess


@pytest.fixture
def bench() -> Iterator[ServerBench]:
    """A USB/IP server without devices."""
    with serving() as bench:
        yield bench


@pytest.fixture
def device() -> FakeDevice:
    """A device to plug in."""
    return FakeDevice()


@pytest.fixture
def port(bench: ServerBench, device: FakeDevice) -> UsbPort:
    """The port where the fake device is plugged in."""
    return bench.plug("1-1", device)


@pytest.fixture
def serial(simulator: SimulatorProcess) -> Iterator[str]:
    """The first board's serial number.

    The board is plugged in again, and has no faults before and after the test.
    """
    serial = simulator.serials()[0]
    simulator.management.clear(serial)
    simulator.management.fault(serial, "replug")
    yield serial
    simulator.management.clear(serial)


@pytest.fixture
def host(simulator: SimulatorProcess) -> SimulatedHost:
    """The host where the simulated boards are plugged in."""
    return simulated_host(simulator.ready)


@pytest.fixture
def board(host: SimulatedHost, serial: str) -> Iterator[Any]:
    """The first board, as pyusb finds it."""
    board = usb.core.find(backend=host.backend(), serial_number=serial)
    yield board
    usb.util.dispose_resources(board)
