"""A process's connection to one simulated device: USB/IP, blocking, safe for threads."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import socket
import threading
import time

from hil.errors import SimulatorError
from hil.sim import wire, wire_urb
from hil.sim.wire import DeviceRecord, ImportRequest, ImportStatus, Operation, OperationHeader
from hil.sim.wire_urb import Call, Command, HostCall, Reply, Submit, Unlink

__all__ = ["DeviceChannel", "RefusedError", "host_list"]

_ANSWER_LIMIT_S = 10.0
"""The simulator answers lists, imports and unlinks at once; a busy machine may be slow."""

_RECEIVE_BYTES = 1 << 16
_IN = 0x80
_Address = tuple[str, int]
_GONE = (-errno.ENODEV, b"")


class RefusedError(Exception):
    """The server refused; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def host_list(address: _Address) -> list[DeviceRecord]:
    """Return what the simulated host's libusb would list.

    Raises:
        RefusedError: As if libusb could not be loaded.
        SimulatorError: The simulator is not there.
    """
    with _connect(address) as connection:
        connection.sendall(OperationHeader(Operation.REQUEST_HOST_LIST).format())
        raw = b"".join(iter(lambda: connection.recv(_RECEIVE_BYTES), b""))
    status = OperationHeader.parse(raw[: wire.OPERATION_BYTES]).status
    if status:
        raise RefusedError(status)
    return wire.parse_list(raw[wire.OPERATION_BYTES :], for_host=True)


def _connect(address: _Address) -> socket.socket:
    try:
        connection = socket.create_connection(address, _ANSWER_LIMIT_S)
    except OSError as error:
        raise SimulatorError(
            f"the simulated boards at {address[0]}, port {address[1]} are gone",
            why=error.strerror or str(error),
            remedy="see why their process ended; start it again with `hil sim`",
            errno=error.errno,
        ) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class DeviceChannel:
    """One opened device. Several threads may transfer at once: whoever waits first reads for all.

    Args:
        address: Of the simulator's USB/IP server.
        record: The device, as the host list named it.

    Raises:
        RefusedError: It may not be opened, or another device is there now.
    """

    def __init__(self, address: _Address, record: DeviceRecord) -> None:
        self._socket = _connect(address)
        self._received = bytearray()
        self._numbers = itertools.count(1)
        self._sending = threading.Lock()
        self._arrival = threading.Condition(threading.Lock())
        self._reading = False
        self._gone = False
        self._is_in: dict[int, bool] = {}
        self._replies: dict[int, tuple[int, bytes]] = {}
        try:
            self._import(record)
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(None)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def transfer(
        self, endpoint_address: int, data: bytes, length: int, *, setup: bytes, timeout_s: float | None
    ) -> tuple[int, bytes]:
        """Do one transfer; returns a status (0 or a negative errno) and what was read.

        A transfer without an answer in time is unlinked, and its status is -ETIMEDOUT.
        """
        number = next(self._numbers)
        is_in = self._is_in[number] = bool(endpoint_address & _IN)
        message = Submit(number, is_in, endpoint_address & 0x0F, length, setup).format() + data
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        reply = self._exchange(message, number, deadline)
        return reply if reply is not None else self._unlink(number)

    def call(self, what: HostCall, interface: int) -> int:
        """Ask the simulated host's kernel; returns 0 or 1, or a negative errno."""
        number = next(self._numbers)
        deadline = time.monotonic() + _ANSWER_LIMIT_S
        reply = self._exchange(Call(number, what, interface).format(), number, deadline)
        return -errno.ENODEV if reply is None else reply[0]

    def close(self) -> None:
        """Hang up; transfers that still wait in other threads end as if the device were gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _import(self, record: DeviceRecord) -> None:
        request = ImportRequest(record.busid, os.getpid()).format()
        self._socket.sendall(OperationHeader(Operation.REQUEST_IMPORT).format() + request)
        status = OperationHeader.parse(self._received_exactly(wire.OPERATION_BYTES)).status
        if status:
            raise RefusedError(status)
        imported = DeviceRecord.parse(self._received_exactly(wire.RECORD_BYTES))
        if imported.devnum != record.devnum:
            raise RefusedError(ImportStatus.NO_DEVICE)

    def _received_exactly(self, length: int) -> bytes:
        raw = self._socket.recv(length, socket.MSG_WAITALL)
        if len(raw) != length:
            raise RefusedError(ImportStatus.ERROR)
        return raw

    def _unlink(self, target: int) -> tuple[int, bytes]:
        number = next(self._numbers)
        deadline = time.monotonic() + _ANSWER_LIMIT_S
        unlinked = self._exchange(Unlink(number, target).format(), number, deadline)
        if unlinked is None or unlinked == _GONE:
            return _GONE
        with self._arrival:
            self._is_in.pop(target, None)
            return self._replies.pop(target, (-errno.ETIMEDOUT, b""))

    def _exchange(self, message: bytes, number: int, deadline: float | None) -> tuple[int, bytes] | None:
        try:
            with self._sending:
                self._socket.sendall(message)
        except OSError:
            return _GONE
        return self._wait(number, deadline)

    def _wait(self, number: int, deadline: float | None) -> tuple[int, bytes] | None:
        """Return the answer to `number`, or None when it is late."""
        while True:
            with self._arrival:
                if number in self._replies:
                    return self._replies.pop(number)
                if self._gone:
                    return _GONE
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                if self._reading:
                    self._arrival.wait(left_s)
                    continue
                self._reading = True
            self._read(left_s)

    def _read(self, limit_s: float | None) -> None:
        """Read what there is, for everybody who waits."""
        try:
            if self._poll.poll(None if limit_s is None else limit_s * 1000):
                data = self._socket.recv(_RECEIVE_BYTES)
                self._gone = not data
                self._received += data
        except (OSError, ValueError):  # reset, or closed by another thread
            self._gone = True
        finally:
            with self._arrival:
                self._sort()
                self._reading = False
                self._arrival.notify_all()

    def _sort(self) -> None:
        """Lay out every whole answer for whoever waits for it."""
        while len(self._received) >= wire_urb.HEADER_BYTES:
            reply = Reply.parse(bytes(self._received[: wire_urb.HEADER_BYTES]))
            is_in = reply.command == Command.RETURN_SUBMIT and self._is_in.get(reply.seqnum, False)
            whole = wire_urb.HEADER_BYTES + (reply.actual_length if is_in else 0)
            if len(self._received) < whole:
                return
            self._is_in.pop(reply.seqnum, None)
            self._replies[reply.seqnum] = (reply.status, bytes(self._received[wire_urb.HEADER_BYTES : whole]))
            del self._received[:whole]
