"""Blocking, thread-safe USB/IP client for one simulated device."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from hil.errors import SimulatorError
from hil.sim.peer_socket import PeerError, PeerSocket
from hil.sim.usbip import messages, urbs
from hil.sim.usbip.messages import DeviceRecord, ImportRequest, ImportStatus, Operation, OperationHeader
from hil.sim.usbip.urbs import Call, HostCall, Reply, Submit, Unlink

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DeviceChannel", "RefusedError", "host_list"]

_ANSWER_LIMIT_S = 10.0
"""Limit for lists, imports and unlinks. The simulator answers them at once, but a machine may be busy."""

_LONGEST_LIST_BYTES = 1 << 20
"""Limit for a list. Two hundred devices with their descriptors need 150 kB."""

_RECEIVE_BYTES = 1 << 16
_IN = 0x80
_Address = tuple[str, int]
_GONE = (-errno.ENODEV, b"")


class RefusedError(Exception):
    """The server refused a request; `status` tells why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def host_list(address: _Address) -> list[DeviceRecord]:
    """Return the devices that libusb would list on the simulated host.

    Raises:
        RefusedError: The fault `no_backend` is active: libusb cannot be loaded.
        SimulatorError: The simulator does not answer.
    """
    with _simulator_errors(address), contextlib.closing(PeerSocket(address)) as connection:
        connection.send(OperationHeader(Operation.REQUEST_HOST_LIST).format())
        status = OperationHeader.parse(connection.read_exactly(messages.OPERATION_BYTES)).status
        if status:
            raise RefusedError(status)
        return messages.parse_list(connection.read_all(_LONGEST_LIST_BYTES), for_host=True)


@contextlib.contextmanager
def _simulator_errors(address: _Address) -> Iterator[None]:
    """Raise SimulatorError if no program listens there, or if it answers in another way than a simulator."""
    try:
        yield
    except OSError as error:
        raise SimulatorError(
            f"no simulated boards answer at {address[0]}, port {address[1]}",
            why=error.strerror or str(error),
            remedy="see why their process ended; start it again with `hil sim`",
            errno=error.errno,
        ) from error
    except (PeerError, messages.WireError) as error:
        raise SimulatorError(
            f"the program at {address[0]}, port {address[1]} does not answer as simulated boards do",
            why=str(error),
            remedy="find the program that uses this port; start the boards again with `hil sim`",
        ) from error


class DeviceChannel:
    """An open device. Several threads may transfer at once: the first one that waits reads for all.

    Args:
        address: Address of the simulator's USB/IP server.
        record: The device's record from `host_list`.

    Raises:
        RefusedError: The device may not be opened, or another device is in its port.
        SimulatorError: The simulator does not answer.
    """

    def __init__(self, address: _Address, record: DeviceRecord) -> None:
        with _simulator_errors(address), contextlib.ExitStack() as unless_imported:
            connection = unless_imported.enter_context(contextlib.closing(PeerSocket(address)))
            _import(connection, record)
            unless_imported.pop_all()
        self._owner = os.getpid()
        self._socket = connection.socket
        self._socket.setblocking(False)
        self._received = bytearray()
        self._numbers = itertools.count(1)
        self._sending = threading.Lock()
        self._arrival = threading.Condition(threading.Lock())
        self._reading = False
        self._gone = False
        self._asked: dict[int, int] = {}  # limit for the answer of each transfer and call, in bytes
        self._replies: dict[int, tuple[int, bytes]] = {}
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def transfer(
        self, endpoint_address: int, data: bytes, length: int, *, setup: bytes, timeout_s: float | None
    ) -> tuple[int, bytes]:
        """Make one transfer; return a status (0 or a negative errno) and the bytes that were read.

        If no answer comes in time, the transfer is unlinked, and its status is -ETIMEDOUT.
        """
        number = next(self._numbers)
        is_in = bool(endpoint_address & _IN)
        message = Submit(number, is_in, endpoint_address & 0x0F, length, setup).format() + data
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        reply = self._exchange(message, number, deadline, length if is_in else 0)
        return reply if reply is not None else self._unlink(number)

    def call(self, what: HostCall, interface: int) -> int:
        """Make a host call; return 0, 1 or a negative errno."""
        number = next(self._numbers)
        deadline = time.monotonic() + _ANSWER_LIMIT_S
        reply = self._exchange(Call(number, what, interface).format(), number, deadline)
        if reply is None:
            self._hang_up()
            return -errno.ENODEV
        return reply[0]

    def close(self) -> None:
        """Close the connection. Transfers in other threads end as if the device were gone."""
        self._hang_up()
        self._socket.close()

    def _unlink(self, target: int) -> tuple[int, bytes]:
        number = next(self._numbers)
        deadline = time.monotonic() + _ANSWER_LIMIT_S
        unlinked = self._exchange(Unlink(number, target).format(), number, deadline)
        if unlinked is None or unlinked == _GONE:
            self._hang_up()
            return _GONE
        with self._arrival:
            self._asked.pop(target, None)
            return self._replies.pop(target, (-errno.ETIMEDOUT, b""))

    def _exchange(
        self, message: bytes, number: int, deadline: float | None, most_bytes: int = 0
    ) -> tuple[int, bytes] | None:
        with self._arrival:
            self._asked[number] = most_bytes
        left_s = -1 if deadline is None else max(0.0, deadline - time.monotonic())
        if not self._sending.acquire(timeout=left_s):
            return None
        try:
            self._send(message, deadline)
        except BaseException as error:
            # half a message may have been sent, and the server would take the next message for its rest
            self._hang_up()
            if isinstance(error, OSError | ValueError):  # the connection is broken, so the board is gone
                return _GONE
            raise
        finally:
            self._sending.release()
        return self._wait(number, deadline)

    def _send(self, message: bytes, deadline: float | None) -> None:
        """Send a whole message; raise TimeoutError if the simulator does not read it in time."""
        rest = memoryview(message)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                writable = select.poll()
                writable.register(self._socket, select.POLLOUT)
                left_s = None if deadline is None else deadline - time.monotonic()
                if (left_s is not None and left_s <= 0) or not writable.poll(_poll_ms(left_s)):
                    raise TimeoutError from None

    def _hang_up(self) -> None:
        if os.getpid() != self._owner:
            return  # in a fork, which shares the connection: its parent goes on using the device
        with self._arrival:
            self._gone = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _wait(self, number: int, deadline: float | None) -> tuple[int, bytes] | None:
        """Return the answer to `number`, or None if it does not come in time."""
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
        """Read available bytes for all waiting threads."""
        try:
            if self._poll.poll(_poll_ms(limit_s)):
                data = self._socket.recv(_RECEIVE_BYTES)
                self._received += data
                if not data:
                    self._gone = True
        except (OSError, ValueError):  # reset, or closed by another thread
            self._gone = True
        finally:
            with self._arrival:
                self._gone = not self._sort() or self._gone
                self._reading = False
                self._arrival.notify_all()

    def _sort(self) -> bool:
        """Store each complete answer for its thread; return False if an answer belongs to no request."""
        while len(self._received) >= urbs.HEADER_BYTES:
            reply = Reply.parse(bytes(self._received[: urbs.HEADER_BYTES]))
            most_bytes = self._asked.get(reply.seqnum)
            if most_bytes is None or reply.actual_length > most_bytes > 0:
                return False
            whole = urbs.HEADER_BYTES + (reply.actual_length if most_bytes else 0)
            if len(self._received) < whole:
                return True
            self._asked.pop(reply.seqnum)
            self._replies[reply.seqnum] = (reply.status, bytes(self._received[urbs.HEADER_BYTES : whole]))
            del self._received[:whole]
        return True


def _import(connection: PeerSocket, record: DeviceRecord) -> None:
    request = ImportRequest(record.busid, os.getpid()).format()
    try:
        connection.send(OperationHeader(Operation.REQUEST_IMPORT).format() + request)
        status = OperationHeader.parse(connection.read_exactly(messages.OPERATION_BYTES)).status
        if status:
            raise RefusedError(status)
        imported = DeviceRecord.parse(connection.read_exactly(messages.RECORD_BYTES))
    except PeerError as error:  # the device may be gone
        raise RefusedError(ImportStatus.ERROR) from error
    if imported.devnum != record.devnum:
        raise RefusedError(ImportStatus.NO_DEVICE)


def _poll_ms(limit_s: float | None) -> float | None:
    return None if limit_s is None else max(0.0, limit_s) * 1000
