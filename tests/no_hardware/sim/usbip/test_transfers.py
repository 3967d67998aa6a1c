"""Transfers over USB/IP, with a fake device and a raw client."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from hil.sim.usbip.urbs import HEADER_BYTES, Command, Reply, Submit, Unlink
from tests.support.usbip_bench import (
    ECHO_ENDPOINT,
    SILENT_ENDPOINT,
    STALLED_ENDPOINT,
    FakeDevice,
    ServerBench,
)

if TYPE_CHECKING:
    from hil.sim.host.bus import UsbPort

RESET = bytes((0x23, 3, 4, 0, 0, 0, 0, 0))
GET_STATUS = bytes((0x80, 0, 0, 0, 0, 0, 2, 0))


@pytest.mark.usefixtures("port")
def test_control_transfer_returns_its_bytes(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.submit(Submit(5, True, 0, 6, bytes((0xC1, 4, 0, 0, 3, 0, 6, 0))))

        assert client.reply() == Reply(Command.RETURN_SUBMIT, 5, 0, 6)
        assert client.receive(6) == b"answer"


@pytest.mark.usefixtures("port")
def test_out_transfer_returns_its_length(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.submit(Submit(5, False, ECHO_ENDPOINT, 3), b"abc")

        assert client.reply() == Reply(Command.RETURN_SUBMIT, 5, 0, 3)


@pytest.mark.usefixtures("port")
def test_stall_is_status_32(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.submit(Submit(5, True, STALLED_ENDPOINT, 64))

        assert client.reply() == Reply(Command.RETURN_SUBMIT, 5, -32, 0)


@pytest.mark.usefixtures("port")
def test_waiting_transfer_blocks_no_other(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.submit(Submit(1, True, SILENT_ENDPOINT, 64))
        client.submit(Submit(2, True, ECHO_ENDPOINT, 4))

        assert client.reply().seqnum == 2


@pytest.mark.usefixtures("port")
def test_messages_that_arrive_byte_by_byte_are_understood(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        for byte in Submit(5, False, ECHO_ENDPOINT, 3).format() + b"abc":
            client.send(bytes((byte,)))

        assert client.reply().seqnum == 5


@pytest.mark.usefixtures("port")
def test_unlink_of_a_waiting_transfer_is_answered_by_econnreset_alone(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.submit(Submit(1, True, SILENT_ENDPOINT, 64))
        client.send(Unlink(2, 1).format())
        client.submit(Submit(3, True, ECHO_ENDPOINT, 4))

        assert client.reply() == Reply(Command.RETURN_UNLINK, 2, -104)
        assert client.reply().seqnum == 3


@pytest.mark.usefixtures("port")
def test_unlink_of_a_finished_transfer_is_answered_by_0(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.submit(Submit(1, True, ECHO_ENDPOINT, 4))
        client.reply()
        client.receive(4)
        client.send(Unlink(2, 1).format())

        assert client.reply() == Reply(Command.RETURN_UNLINK, 2, 0)


def test_transfer_that_completes_after_its_unlink_is_not_answered(
    bench: ServerBench, device: FakeDevice, port: UsbPort
) -> None:
    with bench.client() as client:
        client.take(port.busid)
        client.submit(Submit(1, True, SILENT_ENDPOINT, 64))
        client.submit(Submit(2, True, ECHO_ENDPOINT, 0))
        client.reply()
        (urb,) = device.waiting
        device.waiting.clear()  # the device is already working on it
        client.send(Unlink(3, 1).format())
        client.reply()
        bench.do(lambda: urb.complete(0, b"late"))
        client.submit(Submit(4, True, ECHO_ENDPOINT, 0))

        assert client.reply().seqnum == 4


def test_transfers_of_a_client_that_left_are_cancelled(
    bench: ServerBench, device: FakeDevice, port: UsbPort
) -> None:
    with bench.client() as client:
        client.take(port.busid)
        client.submit(Submit(1, True, SILENT_ENDPOINT, 64))
        client.submit(Submit(2, True, ECHO_ENDPOINT, 0))
        client.reply()
        client.socket.shutdown(1)
        client.rest()

    assert device.waiting == []


def test_port_reset_resets_and_configures_the_device(
    bench: ServerBench, device: FakeDevice, port: UsbPort
) -> None:
    with bench.client() as client:
        client.take(port.busid, sharer=1)
        before = device.resets
        client.submit(Submit(1, False, 0, 0, RESET))

        assert client.reply() == Reply(Command.RETURN_SUBMIT, 1, 0, 0)
        assert device.resets == before + 1
        assert device.setups[-1][1] == 9


def test_sender_of_a_shared_transfer_is_its_process(
    bench: ServerBench, device: FakeDevice, port: UsbPort
) -> None:
    with bench.client() as client:
        client.take(port.busid, sharer=4711)
        client.submit(Submit(1, True, 0, 2, GET_STATUS))
        client.reply()

        assert device.senders[-1] == "pid 4711"


def test_sender_of_a_stock_transfer_is_its_address(
    bench: ServerBench, device: FakeDevice, port: UsbPort
) -> None:
    with bench.client() as client:
        client.take(port.busid)
        own_port = client.socket.getsockname()[1]
        client.submit(Submit(1, True, 0, 2, GET_STATUS))
        client.reply()

        assert device.senders[-1] == f"usbip 127.0.0.1:{own_port}"


@pytest.mark.usefixtures("port")
@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(struct.pack(">HHI", 0x0111, 0x8003 + 0x100, 0), id="an unknown operation"),
        pytest.param(bytes(64), id="zeros"),
    ],
)
def test_malformed_input_closes_that_connection_only(bench: ServerBench, garbage: bytes) -> None:
    with bench.client() as client, bench.client() as other:
        other.take("1-1")
        client.send(garbage)

        assert client.rest() == b""
        other.submit(Submit(1, True, ECHO_ENDPOINT, 0))
        assert other.reply().seqnum == 1


@pytest.mark.usefixtures("port")
@pytest.mark.parametrize("first", [bytes(HEADER_BYTES), b"\xff" * HEADER_BYTES])
def test_malformed_command_closes_the_connection(bench: ServerBench, first: bytes) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.send(first)

        assert client.rest() == b""


@pytest.mark.usefixtures("port")
def test_sequence_number_used_twice_closes_the_connection(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.submit(Submit(1, True, SILENT_ENDPOINT, 64))
        client.submit(Submit(1, True, SILENT_ENDPOINT, 64))

        assert client.rest() == b""
