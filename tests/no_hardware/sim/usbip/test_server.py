"""Listings and imports of the USB/IP server, with a fake device and a raw client."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from hil.sim.usbip.messages import OPERATION_BYTES, DeviceRecord, Operation, OperationHeader, parse_list
from tests.support.usbip_bench import (
    CONFIGURATION,
    DEVICE_DESCRIPTOR,
    IDENTITY,
    FakeDevice,
    ServerBench,
    serving,
)

if TYPE_CHECKING:
    from hil.sim.host.bus import UsbPort

BUSY = 2
NO_DEVICE = 4
DENIED = 0x6801
NO_BACKEND = 0x6802


def listed(bench: ServerBench, code: Operation = Operation.REQUEST_DEVICE_LIST) -> list[DeviceRecord]:
    with bench.client() as client:
        client.send(OperationHeader(code).format())
        raw = client.rest()
    return parse_list(raw[OPERATION_BYTES:], for_host=code == Operation.REQUEST_HOST_LIST)


def hosts_list(bench: ServerBench) -> list[DeviceRecord]:
    return listed(bench, Operation.REQUEST_HOST_LIST)


@pytest.mark.usefixtures("port")
def test_device_list_names_the_plugged_devices(bench: ServerBench) -> None:
    records = listed(bench)

    assert [(record.busid, record.busnum, record.identity) for record in records] == [("1-1", 1, IDENTITY)]


@pytest.mark.usefixtures("port")
def test_device_list_is_answered_as_a_stock_client_expects(bench: ServerBench) -> None:
    with bench.client() as client:
        client.send(struct.pack(">HHI", 0x0111, 0x8005, 0))
        raw = client.rest()

    assert raw[:12] == struct.pack(">HHII", 0x0111, 0x0005, 0, 1)
    assert raw[12 + 256 : 12 + 288].rstrip(b"\0") == b"1-1"


@pytest.mark.usefixtures("port")
def test_host_listing_carries_the_descriptors(bench: ServerBench) -> None:
    (record,) = hosts_list(bench)

    assert record.descriptors == DEVICE_DESCRIPTOR + CONFIGURATION


def test_plugging_in_configures_the_device(bench: ServerBench, device: FakeDevice) -> None:
    bench.plug("1-1", device)

    assert device.setups[-1] == bytes((0x00, 0x09, 1, 0, 0, 0, 0, 0))


def test_import_of_a_missing_port_is_refused(bench: ServerBench) -> None:
    with bench.client() as client:
        status = client.take("9-9")

    assert status == NO_DEVICE


def test_stock_import_resets_the_device(bench: ServerBench, device: FakeDevice, port: UsbPort) -> None:
    before = device.resets

    with bench.client() as client:
        client.take(port.busid)

        assert device.resets == before + 1


@pytest.mark.usefixtures("port")
def test_stock_import_is_exclusive(bench: ServerBench) -> None:
    with bench.client() as first, bench.client() as second:
        first.take("1-1")

        assert second.take("1-1") == BUSY


@pytest.mark.usefixtures("port")
def test_device_is_free_after_its_stock_connection_ends(bench: ServerBench) -> None:
    with bench.client() as first:
        first.take("1-1")
        first.socket.shutdown(1)
        first.rest()

    with bench.client() as second:
        assert second.take("1-1") == 0


@pytest.mark.usefixtures("port")
def test_imported_device_has_left_both_lists(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")

        assert listed(bench) == []
        assert hosts_list(bench) == []


@pytest.mark.usefixtures("port")
def test_processes_share_a_device(bench: ServerBench) -> None:
    with bench.client() as first, bench.client() as second:
        first.take("1-1", sharer=1)

        assert second.take("1-1", sharer=2) == 0


@pytest.mark.usefixtures("port")
def test_shared_import_is_refused_while_a_stock_client_has_the_device(bench: ServerBench) -> None:
    with bench.client() as stock, bench.client() as sharer:
        stock.take("1-1")

        assert sharer.take("1-1", sharer=1) == BUSY


@pytest.mark.usefixtures("port")
def test_stock_import_ends_the_shared_ones(bench: ServerBench) -> None:
    with bench.client() as sharer, bench.client() as stock:
        sharer.take("1-1", sharer=1)
        stock.take("1-1")

        assert sharer.rest() == b""


def test_denied_shared_import_has_its_status(bench: ServerBench, port: UsbPort) -> None:
    port.denied = True

    with bench.client() as client:
        assert client.take("1-1", sharer=1) == DENIED


def test_host_listing_without_backend_has_its_status(bench: ServerBench) -> None:
    bench.bus.no_backend = True

    with bench.client() as client:
        assert client.ask(Operation.REQUEST_HOST_LIST) == NO_BACKEND


def test_unplugging_ends_the_connection(bench: ServerBench, port: UsbPort) -> None:
    with bench.client() as client:
        client.take("1-1")
        bench.do(port.unplug)

        assert client.rest() == b""


def test_unplugged_device_leaves_the_stock_list_at_once(bench: ServerBench, port: UsbPort) -> None:
    bench.do(port.unplug)

    assert listed(bench) == []


def test_unplugged_device_stays_in_the_host_list_for_a_moment() -> None:
    with serving(speed=1.0) as bench:
        port = bench.plug("1-1", FakeDevice())
        bench.do(port.unplug)

        assert [record.busid for record in hosts_list(bench)] == ["1-1"]


def test_device_that_comes_back_has_another_address(
    bench: ServerBench, device: FakeDevice, port: UsbPort
) -> None:
    (before,) = listed(bench)
    bench.do(port.unplug)
    bench.do(lambda: port.plug(device))

    assert listed(bench)[0].devnum != before.devnum
