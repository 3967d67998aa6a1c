"""The USB/IP server: offers the simulated bus to stock clients and to processes of the simulated host.

Sources: the Linux kernel's Documentation/usb/usbip_protocol.rst, and drivers/usb/usbip/stub_rx.c for two
details. If a transfer is unlinked while it waits, only the unlink is answered, with -ECONNRESET.
SET_FEATURE(PORT_RESET) requests a reset of the device.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from functools import partial
from typing import TYPE_CHECKING, cast

from hil.sim.connections import Connection, Connections
from hil.sim.interfaces import Urb, UsbDevice
from hil.sim.usbip import messages, urbs
from hil.sim.usbip.messages import ImportStatus, Operation
from hil.sim.usbip.urbs import Command

if TYPE_CHECKING:
    from hil.sim.host.bus import UsbBus, UsbPort

__all__ = ["UsbIpServer"]

_PORT_RESET = bytes((0x23, 0x03, 0x04, 0x00))
_WAITING_LIMIT = 1024
"""Limit for waiting transfers of one connection; Linux' drivers keep a few dozen."""

_WAITING_BYTES = 16 << 20
"""Limit for the bytes of waiting transfers; Linux' usb-storage sends at most 1 MiB at once."""


class UsbIpServer:
    """Listens on one address and offers all devices of `bus`."""

    def __init__(self, bus: UsbBus) -> None:
        self._bus = bus
        self._connections = Connections()
        self._server: asyncio.Server | None = None

    async def listen(self, address: str, port: int) -> int:
        """Listen, and return the port; raise OSError if it cannot be used."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _UsbIpConnection(self._bus, self._connections), address, port
        )
        return cast("int", self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            self._server.close()
        self._connections.close()


class _UsbIpConnection(Connection):
    """A client's connection: requests until it imports a device, then transfers."""

    def __init__(self, bus: UsbBus, connections: Connections) -> None:
        super().__init__(connections)
        self._bus = bus
        self._waiting: dict[int, Urb] = {}
        self._waiting_bytes = 0
        self._port: UsbPort | None = None
        self._device: UsbDevice | None = None
        self._sender = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the connection up and note the sender for the log."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = transport.get_extra_info("peername")[:2]
        self._sender = f"usbip {host}:{port}"

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the client's transfers and release its device."""
        super().connection_lost(exc)
        waiting, self._waiting = self._waiting, {}
        if self._device is not None:
            for urb in waiting.values():
                self._device.cancel(urb)
        if self._port is not None:
            self._port.release(self)

    def detach(self) -> None:
        """End the connection because the device is gone, after written answers have gone out."""
        self.close()

    def pause_writing(self) -> None:
        """Stop reading while the client does not read its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue when the client reads again."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Handle each complete message; end the connection if a message is no valid USB/IP."""
        self._received += data
        try:
            while not self._transport.is_closing() and self._take():
                self._cancel_deadline()
        except messages.WireError:
            self.abort()
        if self._received and not self._transport.is_closing():
            self._expect_message()

    def _take(self) -> bool:
        return self._take_operation() if self._device is None else self._take_command(self._device)

    def _cut(self, length: int) -> bytes:
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken

    # before an import

    def _take_operation(self) -> bool:
        if len(self._received) < messages.OPERATION_BYTES:
            return False
        code = messages.OperationHeader.parse(bytes(self._received[: messages.OPERATION_BYTES])).code
        if code == Operation.REQUEST_IMPORT:
            whole = messages.OPERATION_BYTES + messages.IMPORT_REQUEST_BYTES
            if len(self._received) < whole:
                return False
            self._import(messages.ImportRequest.parse(self._cut(whole)[messages.OPERATION_BYTES :]))
            return True
        self._cut(messages.OPERATION_BYTES)
        self._list(code)
        return True

    def _list(self, code: int) -> None:
        if code == Operation.REQUEST_DEVICE_LIST:
            self._answer(Operation.REPLY_DEVICE_LIST, messages.format_list(self._bus.stock_list()))
        elif code == Operation.REQUEST_HOST_LIST and self._bus.no_backend:
            self._answer(Operation.REPLY_HOST_LIST, status=ImportStatus.NO_BACKEND)
        elif code == Operation.REQUEST_HOST_LIST:
            records = self._bus.host_list()
            self._answer(Operation.REPLY_HOST_LIST, messages.format_list(records, for_host=True))
        else:
            message = f"operation {code:#06x}"
            raise messages.WireError(message)
        self._transport.close()

    def _answer(self, code: Operation, body: bytes = b"", status: ImportStatus = ImportStatus.OK) -> None:
        self._transport.write(messages.OperationHeader(code, status).format() + body)

    def _import(self, request: messages.ImportRequest) -> None:
        port = self._bus.port(request.busid)
        status = ImportStatus.NO_DEVICE if port is None else self._import_from(port, request)
        if port is None or status is not ImportStatus.OK or port.record is None:
            self._answer(Operation.REPLY_IMPORT, status=status)
            self._transport.close()
            return
        self._port, self._device = port, port.device
        self._connections.keep(self)
        self._answer(Operation.REPLY_IMPORT, port.record.format())

    def _import_from(self, port: UsbPort, request: messages.ImportRequest) -> ImportStatus:
        if request.sharer is None:
            return port.import_stock(self)
        self._sender = f"pid {request.sharer}"
        return port.import_shared(self)

    # after an import

    def _take_command(self, device: UsbDevice) -> bool:
        if len(self._received) < urbs.HEADER_BYTES:
            return False
        command = urbs.parse_command(bytes(self._received[: urbs.HEADER_BYTES]))
        if isinstance(command, urbs.Submit):
            whole = urbs.HEADER_BYTES + command.payload_bytes
            if len(self._received) < whole:
                return False
            self._submit(device, command, self._cut(whole)[urbs.HEADER_BYTES :])
            return True
        self._cut(urbs.HEADER_BYTES)
        if isinstance(command, urbs.Unlink):
            self._unlink(device, command)
        else:
            self._call(command)
        return True

    def _submit(self, device: UsbDevice, command: urbs.Submit, data: bytes) -> None:
        if command.seqnum in self._waiting or len(self._waiting) >= _WAITING_LIMIT:
            message = f"transfer {command.seqnum} is already waiting"
            raise messages.WireError(message)
        if self._waiting_bytes + len(data) > _WAITING_BYTES:
            message = f"{_WAITING_BYTES} bytes are already waiting"
            raise messages.WireError(message)
        complete = partial(self._complete, command)
        urb = Urb(
            command.endpoint, command.is_in, command.setup, data, command.length, self._sender, complete
        )
        self._waiting[command.seqnum] = urb
        self._waiting_bytes += len(data)
        if not command.endpoint and command.setup[:4] == _PORT_RESET and self._port is not None:
            self._port.reset(partial(complete, 0, b""))
        else:
            device.submit(urb)

    def _complete(self, command: urbs.Submit, status: int, data: bytes) -> None:
        if self._forget(command.seqnum) is None or self._transport.is_closing():
            return
        data = data[: command.length] if command.is_in else b""
        actual = len(data) if command.is_in else 0 if status else command.length
        reply = urbs.Reply(Command.RETURN_SUBMIT, command.seqnum, status, actual)
        self._transport.write(reply.format() + data)

    def _forget(self, seqnum: int) -> Urb | None:
        urb = self._waiting.pop(seqnum, None)
        self._waiting_bytes -= len(urb.data) if urb is not None else 0
        return urb

    def _unlink(self, device: UsbDevice, command: urbs.Unlink) -> None:
        urb = self._forget(command.target)
        if urb is not None:
            device.cancel(urb)
        status = 0 if urb is None else -errno.ECONNRESET
        self._transport.write(urbs.Reply(Command.RETURN_UNLINK, command.seqnum, status).format())

    def _call(self, command: urbs.Call) -> None:
        claims = self._port.claims if self._port is not None else None
        if claims is None:
            self._transport.close()
            return
        status = claims.call(command.what, command.interface, self)
        self._transport.write(urbs.Reply(Command.RETURN_HOST_CALL, command.seqnum, status).format())
