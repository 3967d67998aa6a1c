"""A real USB/IP server with a fake device, and a raw client."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar

from hil.sim.clock import LoopClock
from hil.sim.host.bus import UsbBus, UsbPort
from hil.sim.usb_identity import UsbIdentity
from hil.sim.usbip.messages import OPERATION_BYTES, ImportRequest, Operation, OperationHeader
from hil.sim.usbip.server import UsbIpServer
from hil.sim.usbip.urbs import HEADER_BYTES, Call, HostCall, Reply, Submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.sim.interfaces import Urb

T = TypeVar("T")

IDENTITY = UsbIdentity(0x2B23, 0x1012, 0x0009, (0, 0, 0), ((2, 2, 0), (0x0A, 0, 0), (0xFF, 1, 1)), 2)
DEVICE_DESCRIPTOR = bytes((18, 1, 0x10, 0x02, 0, 0, 0, 64, 0x23, 0x2B, 0x12, 0x10, 9, 0, 1, 2, 3, 1))
CONFIGURATION = bytes((9, 2, 9, 0, 3, 1, 0, 0x80, 125))
ECHO_ENDPOINT = 1
SILENT_ENDPOINT = 2
STALLED_ENDPOINT = 3


class FakeDevice:
    """Answers control requests, gives endpoint 1's bytes back, never answers on 2, stalls 3."""

    def __init__(self, identity: UsbIdentity = IDENTITY) -> None:
        self.identity = identity
        self.setups: list[bytes] = []
        self.senders: list[str] = []
        self.resets = 0
        self.waiting: list[Urb] = []
        self.cancelled: list[Urb] = []

    def submit(self, urb: Urb) -> None:
        self.senders.append(urb.sender)
        if urb.endpoint == SILENT_ENDPOINT:
            self.waiting.append(urb)
        elif urb.endpoint == STALLED_ENDPOINT:
            urb.complete(-32, b"")
        else:
            urb.complete(0, self._answer(urb)[: urb.length])

    def cancel(self, urb: Urb) -> bool:
        self.cancelled.append(urb)
        if urb not in self.waiting:
            return False
        self.waiting.remove(urb)
        return True

    def reset(self) -> None:
        self.resets += 1

    def _answer(self, urb: Urb) -> bytes:
        if urb.endpoint:
            return b"echo"
        self.setups.append(urb.setup)
        return {1: DEVICE_DESCRIPTOR, 2: CONFIGURATION}.get(urb.setup[3], b"answer")


class ServerBench:
    """A server in a thread of its own; `do` runs something in its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bus: UsbBus, number: int) -> None:
        self.loop = loop
        self.bus = bus
        self.number = number

    def do(self, what: Callable[[], T]) -> T:
        async def run() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(5)

    def plug(self, busid: str, device: FakeDevice) -> UsbPort:
        port = self.bus.port(busid) or self.bus.add_port(busid)
        self.do(lambda: port.plug(device))
        return port

    def client(self) -> Client:
        return Client(self.number)


@contextmanager
def serving(speed: float = 100.0) -> Iterator[ServerBench]:
    loop = asyncio.new_event_loop()
    bus = UsbBus(LoopClock(loop, speed))
    server = UsbIpServer(bus)
    number = loop.run_until_complete(server.listen("127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield ServerBench(loop, bus, number)
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


class Client:
    """A raw USB/IP client, with a deadline on every read."""

    def __init__(self, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", number), 5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, length: int) -> bytes:
        return self.socket.recv(length, socket.MSG_WAITALL) if length else b""

    def rest(self) -> bytes:
        """Everything until the server hangs up."""
        try:
            return b"".join(iter(lambda: self.socket.recv(65536), b""))
        except ConnectionResetError:
            return b""

    def ask(self, code: Operation, body: bytes = b"") -> int:
        """Send a request and return the status of its answer."""
        self.send(OperationHeader(code).format() + body)
        return OperationHeader.parse(self.receive(OPERATION_BYTES)).status

    def take(self, busid: str, sharer: int | None = None) -> int:
        """Import a device; returns the status."""
        status = self.ask(Operation.REQUEST_IMPORT, ImportRequest(busid, sharer).format())
        if status == 0:
            self.receive(312)
        return status

    def submit(self, submit: Submit, data: bytes = b"") -> None:
        self.send(submit.format() + data)

    def reply(self) -> Reply:
        return Reply.parse(self.receive(HEADER_BYTES))

    def call(self, what: HostCall, interface: int = 0) -> int:
        """Make a host call and return its status."""
        self.send(Call(77, what, interface).format())
        return self.reply().status
