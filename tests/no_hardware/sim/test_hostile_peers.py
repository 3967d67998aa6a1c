"""Peers that are silent, slow, endless or many, for the simulator and for its clients."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import SimulatorError
from hil.sim import connections, peer_socket
from hil.sim.management.client import ManagementClient
from hil.sim.management.server import ManagementServer
from hil.sim.usbip.client import DeviceChannel, RefusedError, host_list
from hil.sim.usbip.messages import OPERATION_BYTES, DeviceRecord, Operation, OperationHeader, format_list
from hil.sim.usbip.urbs import HEADER_BYTES, Command, Reply, Submit, Unlink
from tests.no_hardware.sim.hostile_peer import drip, flood, listening
from tests.support.usbip_bench import CONFIGURATION, DEVICE_DESCRIPTOR, IDENTITY, SILENT_ENDPOINT, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.sim.host.bus import UsbPort
    from tests.support.usbip_bench import ServerBench

TOKEN = "5a1c0e01"  # noqa: S105 - for a test
SHORT_S = 0.3
LIMIT_S = 60
RECORD = DeviceRecord("1-1", 1, 2, IDENTITY, DEVICE_DESCRIPTOR + CONFIGURATION)
HELLO = b'{"do": "hello"}\n'


@contextmanager
def control_port() -> Iterator[int]:
    simulator: Any = SimpleNamespace(token=TOKEN, ready=lambda _port: {"pid": 1})
    loop = asyncio.new_event_loop()
    port = ManagementServer(simulator)
    loop.run_until_complete(port.listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port.number
    finally:
        asyncio.run_coroutine_threadsafe(port.close(), loop).result(LIMIT_S)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT_S)
        loop.close()


@contextmanager
def usbip_port() -> Iterator[int]:
    with serving() as bench:
        yield bench.number


@pytest.fixture(params=[control_port, usbip_port], ids=["management port", "USB/IP"])
def port_number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """One of the simulator's ports, with a short limit for messages, and for few connections."""
    monkeypatch.setattr(connections, "LONGEST_MESSAGE_S", SHORT_S)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 8)
    with request.param() as number:
        yield number


def connect(number: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", number), LIMIT_S)


def is_hung_up_on(peer: socket.socket) -> bool:
    with suppress(ConnectionError):
        return peer.recv(1) == b""
    return True


# at the simulator's ports


def test_simulator_ends_the_connection_of_a_silent_client(port_number: int) -> None:
    with connect(port_number) as peer:
        assert is_hung_up_on(peer)


def test_simulator_ends_the_connection_of_a_slow_client(port_number: int) -> None:
    with connect(port_number) as peer:
        begin = struct.pack(">HH", 0x0111, 0x8003)

        assert drip(peer, begin + bytes(1000), SHORT_S / 4) < 1000


def test_simulator_refuses_a_gigabyte_in_one_message(port_number: int) -> None:
    with connect(port_number) as peer:
        assert flood(peer, b"[" * 65536, 1 << 30) < 1 << 26


def test_simulator_survives_clients_that_leave_in_a_message(port_number: int) -> None:
    for sent in (b"", b"{", struct.pack(">HHI", 0x0111, 0x8003, 0) + b"1-1", HELLO):
        with connect(port_number) as peer:
            peer.sendall(sent)
    with connect(port_number) as peer:
        peer.sendall(OperationHeader(Operation.REQUEST_DEVICE_LIST).format() + b"\n")

        assert peer.recv(1)


def test_simulator_ends_the_oldest_guest_if_the_port_is_full(port_number: int) -> None:
    with ExitStack() as crowd:
        peers = [crowd.enter_context(connect(port_number)) for _ in range(100)]
        peers[-1].sendall(OperationHeader(Operation.REQUEST_DEVICE_LIST).format() + b"\n")

        assert peers[-1].recv(1)
        assert is_hung_up_on(peers[0])


def test_management_port_keeps_a_client_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 4)
    with control_port() as number, connect(number) as ours, ExitStack() as crowd:
        asked = json.dumps({"do": "hello", "token": TOKEN}).encode() + b"\n"
        ours.sendall(asked)
        ours.recv(1000)
        peers = [crowd.enter_context(connect(number)) for _ in range(20)]
        assert is_hung_up_on(peers[0])

        ours.sendall(asked)

        assert json.loads(ours.recv(1000))["ok"]


def test_usbip_server_refuses_a_client_where_all_others_have_a_device(
    bench: ServerBench, port: UsbPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    with bench.client() as first, bench.client() as second:
        assert [one.take(port.busid, sharer=1) for one in (first, second)] == [0, 0]

        with bench.client() as third:
            assert is_hung_up_on(third.socket)
        first.submit(Submit(1, True, 1, 4))
        assert first.reply().seqnum == 1


def test_usbip_server_lets_a_client_with_a_device_be_silent(
    bench: ServerBench, port: UsbPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LONGEST_MESSAGE_S", 0.05)
    with bench.client() as client, bench.client() as silent:
        client.take(port.busid)
        assert is_hung_up_on(silent.socket)  # the limit has passed

        client.submit(Submit(1, True, 1, 4))
        assert client.reply().seqnum == 1


def test_usbip_server_ends_the_connection_of_a_slow_transfer(
    bench: ServerBench, port: UsbPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LONGEST_MESSAGE_S", SHORT_S)
    with bench.client() as client:
        client.take(port.busid)
        client.send(Submit(1, False, 1, 4 << 20).format())

        assert drip(client.socket, bytes(1000), SHORT_S / 4) < 1000


@pytest.mark.usefixtures("port")
def test_usbip_server_limits_the_bytes_of_waiting_transfers(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        with suppress(ConnectionError):
            for number in range(20):
                client.submit(Submit(number, False, SILENT_ENDPOINT, 1 << 20), bytes(1 << 20))

        assert is_hung_up_on(client.socket)


@pytest.mark.usefixtures("port")
def test_usbip_server_does_not_count_ended_transfers(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        for number in range(1, 21):
            client.submit(Submit(number, False, SILENT_ENDPOINT, 1 << 20), bytes(1 << 20))
            client.send(Unlink(1000 + number, number).format())
            assert client.reply().command == Command.RETURN_UNLINK


def test_management_port_answers_others_during_a_flood_of_requests() -> None:
    with control_port() as number, connect(number) as flooding, connect(number) as other:
        ended = threading.Event()
        reading = threading.Thread(target=read_all, args=(flooding,))
        writing = threading.Thread(target=write_lines, args=(flooding, ended))
        reading.start()
        writing.start()
        try:
            for _ in range(20):
                other.sendall(HELLO)
                assert json.loads(other.recv(1000))["ok"]
        finally:
            ended.set()
            flooding.shutdown(socket.SHUT_RDWR)
            writing.join(LIMIT_S)
            reading.join(LIMIT_S)


def read_all(peer: socket.socket) -> None:
    with suppress(OSError):
        while peer.recv(65536):
            pass


def write_lines(peer: socket.socket, ended: threading.Event) -> None:
    with suppress(OSError):
        while not ended.is_set():
            peer.sendall(b"\n" * 65536)


# at its clients


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give whole answers little time."""
    monkeypatch.setattr(peer_socket, "ANSWER_LIMIT_S", SHORT_S)


def silent(peer: socket.socket) -> None:
    read_all(peer)


def dripping(peer: socket.socket) -> None:
    drip(peer, OperationHeader(Operation.REPLY_HOST_LIST).format() + bytes(1000), SHORT_S / 4)


def endless(peer: socket.socket) -> None:
    flood(peer, OperationHeader(Operation.REPLY_HOST_LIST).format() + b"\0" * 65536, 1 << 40)


def cut(peer: socket.socket) -> None:
    peer.recv(1)
    peer.sendall(OperationHeader(Operation.REPLY_HOST_LIST).format()[:-1])


def garbled(peer: socket.socket) -> None:
    peer.recv(1)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize("act", [silent, dripping, endless, cut, garbled])
def test_host_list_reports_a_peer_that_is_no_simulator(act: Callable[[socket.socket], None]) -> None:
    with listening(act) as number, pytest.raises(SimulatorError, match="does not answer as simulated boards"):
        host_list(("127.0.0.1", number))


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize("act", [silent, dripping, endless, cut, garbled])
def test_management_client_reports_a_peer_that_is_no_simulator(act: Callable[[socket.socket], None]) -> None:
    with listening(act) as number, pytest.raises(SimulatorError, match="does not answer"):
        ManagementClient(number)


@pytest.mark.parametrize(
    "answer", [b'{"ok": false}', b'{"ok": false, "error": 7}', b'{"ok": 1}', b"[" * 100_000]
)
def test_management_client_refuses_a_malformed_answer(answer: bytes) -> None:
    with (
        listening(lambda peer: peer.sendall(answer + b"\n")) as number,
        pytest.raises(SimulatorError, match="is no simulator"),
    ):
        ManagementClient(number)


def answering(peer: socket.socket, before: Callable[[str], None] = lambda _request: None) -> None:
    """Answer each request with what it asked for, as a management port does."""
    for line in peer.makefile("rb"):
        asked = json.loads(line)["do"]
        before(asked)
        peer.sendall(json.dumps({"ok": True, "boards": [], "disks": {"asked": asked}}).encode() + b"\n")


def test_management_client_raises_the_same_error_at_each_request_after_the_end() -> None:
    with listening(answering) as number:
        client = ManagementClient(number, token=TOKEN)
        client.states()
        client._socket.socket.shutdown(socket.SHUT_RDWR)

    for _ in range(3):
        with pytest.raises(SimulatorError, match=f"management port {number}"):
            client.states()


def test_management_client_raises_after_close() -> None:
    with listening(answering) as number:
        client = ManagementClient(number, token=TOKEN)
        client.close()

        for _ in range(2):
            with pytest.raises(SimulatorError, match="does not answer"):
                client.states()


def test_management_client_never_mixes_up_answers_after_an_interrupt() -> None:
    def interrupt_the_first(asked: str) -> None:
        if asked == "state":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            asked_again.wait(LIMIT_S)

    asked_again = threading.Event()
    with listening(lambda peer: answering(peer, interrupt_the_first)) as number:
        client = ManagementClient(number, token=TOKEN)
        with pytest.raises(KeyboardInterrupt):
            client.states()
        asked_again.set()

        assert client.disks() == {"asked": "disks"}
        client.close()


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize("act", [silent, dripping, cut])
def test_device_channel_is_refused_by_a_peer_that_imports_nothing(
    act: Callable[[socket.socket], None],
) -> None:
    with listening(act) as number, pytest.raises(RefusedError):
        DeviceChannel(("127.0.0.1", number), RECORD)


def test_host_list_takes_an_answer_that_comes_in_pieces() -> None:
    def pieces(peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.recv(OPERATION_BYTES, socket.MSG_WAITALL)
        for byte in OperationHeader(Operation.REPLY_HOST_LIST).format() + format_list(
            [RECORD], for_host=True
        ):
            peer.sendall(bytes((byte,)))

    with listening(pieces) as number:
        assert host_list(("127.0.0.1", number)) == [RECORD]


@contextmanager
def imported(act: Callable[[socket.socket], None]) -> Iterator[DeviceChannel]:
    """Yield a channel whose peer lets it import, and then does something."""

    def begin(peer: socket.socket) -> None:
        peer.recv(40, socket.MSG_WAITALL)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in OperationHeader(Operation.REPLY_IMPORT).format() + RECORD.format():
            peer.sendall(bytes((byte,)))
        act(peer)

    with listening(begin) as number:
        channel = DeviceChannel(("127.0.0.1", number), RECORD)
        try:
            yield channel
        finally:
            channel.close()


def transfer(channel: DeviceChannel, data: bytes = b"", length: int = 4, timeout_s: float = SHORT_S) -> int:
    status, _ = channel.transfer(0 if data else 0x80, data, length, setup=bytes(8), timeout_s=timeout_s)
    return status


def test_device_channel_ends_a_transfer_that_its_peer_never_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.sim.usbip.client._ANSWER_LIMIT_S", SHORT_S)
    ended = threading.Event()
    with imported(lambda _peer: bool(ended.wait(LIMIT_S))) as channel:
        try:
            assert transfer(channel, bytes(64 << 20), 64 << 20) < 0
            assert transfer(channel) == -19  # half a message went, and nothing may follow it
        finally:
            ended.set()


def test_device_channel_sends_nothing_after_a_message_that_was_interrupted() -> None:
    asked_again, ended = threading.Event(), threading.Event()
    tail = bytearray()

    def interrupt_and_read(peer: socket.socket) -> None:
        peer.recv(HEADER_BYTES, socket.MSG_WAITALL)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        asked_again.wait(LIMIT_S)
        with suppress(ConnectionError):
            while data := peer.recv(65536):
                tail[:] = (tail + data)[-HEADER_BYTES:]
        ended.set()

    with imported(interrupt_and_read) as channel:
        with pytest.raises(KeyboardInterrupt):
            transfer(channel, bytes(64 << 20), 64 << 20, timeout_s=LIMIT_S)
        asked_again.set()
        assert transfer(channel) == -19
        channel.close()
        assert ended.wait(LIMIT_S)

    assert tail == bytes(HEADER_BYTES)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(Command.RETURN_SUBMIT, 1, 0, 0xFFFFFFF0), id="more than was asked for"),
        pytest.param(Reply(Command.RETURN_SUBMIT, 99, 0, 0), id="an answer to nothing"),
    ],
)
def test_device_channel_closes_on_an_answer_to_no_request(reply: Reply) -> None:
    def answer(peer: socket.socket) -> None:
        peer.recv(HEADER_BYTES, socket.MSG_WAITALL)
        peer.sendall(reply.format())
        read_all(peer)

    with imported(answer) as channel:
        assert transfer(channel, timeout_s=LIMIT_S) == -19
