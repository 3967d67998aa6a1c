"""USB/IP messages after a device is imported: transfers, unlinks and their answers as frozen values.

Source: the Linux kernel's Documentation/usb/usbip_protocol.rst. All numbers are big-endian, except the eight
SETUP bytes, which are sent as on USB. Host calls are our addition: requests of a process to its own kernel
(claims, kernel drivers) instead of to the device. Stock clients never send them.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from hil.sim.usbip.messages import WireError

__all__ = [
    "HEADER_BYTES",
    "LIMIT_BYTES",
    "Call",
    "Command",
    "HostCall",
    "Reply",
    "Submit",
    "Unlink",
    "parse_command",
]

LIMIT_BYTES = 4 << 20
"""Limit for one transfer; Linux' usb-storage usually transfers 120 KiB at once, and 1 MiB at most."""

_HEADER = struct.Struct(">IIIIIIIIII8s")
HEADER_BYTES = _HEADER.size
_NO_PACKETS = (0, 0xFFFFFFFF)
_ENDPOINTS = 16


class Command(enum.IntEnum):
    """Codes of messages after an import."""

    SUBMIT = 1
    UNLINK = 2
    RETURN_SUBMIT = 3
    RETURN_UNLINK = 4
    HOST_CALL = 0x68696C
    RETURN_HOST_CALL = 0x68696D


class HostCall(enum.IntEnum):
    """Request of a process to its own kernel; sent in the direction field."""

    CLAIM = 1
    RELEASE = 2
    DRIVER_ACTIVE = 3
    DETACH_DRIVER = 4
    ATTACH_DRIVER = 5
    MAY_CONFIGURE = 6


class Submit(NamedTuple):
    """A transfer to or from the device. If it is OUT, `length` bytes follow."""

    seqnum: int
    is_in: bool
    endpoint: int
    length: int
    setup: bytes = bytes(8)
    devid: int = 0
    flags: int = 0
    interval: int = 0

    def format(self) -> bytes:
        """Return its 48 bytes."""
        basic = (Command.SUBMIT, self.seqnum, self.devid, int(self.is_in), self.endpoint)
        return _HEADER.pack(*basic, self.flags, self.length, 0, 0, self.interval, self.setup)

    @property
    def payload_bytes(self) -> int:
        """Number of bytes that follow the header."""
        return 0 if self.is_in else self.length


class Unlink(NamedTuple):
    """Cancels the transfer `target`."""

    seqnum: int
    target: int
    devid: int = 0

    def format(self) -> bytes:
        """Return its 48 bytes."""
        return _HEADER.pack(Command.UNLINK, self.seqnum, self.devid, 0, 0, self.target, 0, 0, 0, 0, bytes(8))


class Call(NamedTuple):
    """A host call. `interface` is an interface number or another value."""

    seqnum: int
    what: HostCall
    interface: int

    def format(self) -> bytes:
        """Return its 48 bytes."""
        basic = (Command.HOST_CALL, self.seqnum, 0, self.what, self.interface)
        return _HEADER.pack(*basic, 0, 0, 0, 0, 0, bytes(8))


class Reply(NamedTuple):
    """The answer to a transfer, an unlink or a host call.

    Attributes:
        command: `RETURN_SUBMIT`, `RETURN_UNLINK` or `RETURN_HOST_CALL`.
        seqnum: Sequence number of the request.
        status: 0, or a negative errno.
        actual_length: Number of bytes transferred; if the transfer was IN, they follow.
    """

    command: int
    seqnum: int
    status: int = 0
    actual_length: int = 0

    def format(self) -> bytes:
        """Return its 48 bytes; device, direction and endpoint are zero, as in the kernel's answers."""
        status = self.status & 0xFFFFFFFF
        return _HEADER.pack(self.command, self.seqnum, 0, 0, 0, status, self.actual_length, 0, 0, 0, bytes(8))

    @classmethod
    def parse(cls, raw: bytes) -> Reply:
        """Parse an answer's header."""
        command, seqnum, _, _, _, status, actual, *_ = _HEADER.unpack(raw)
        return cls(command, seqnum, status - (1 << 32) if status >> 31 else status, actual)


def parse_command(raw: bytes) -> Submit | Unlink | Call:
    """Parse a client's header of 48 bytes; raise WireError if no device here could answer it."""
    command, seqnum, devid, direction, endpoint, first, length, _, packets, interval, setup = _HEADER.unpack(
        raw
    )
    if command == Command.UNLINK:
        return Unlink(seqnum, first, devid)
    if command == Command.HOST_CALL and direction in set(HostCall):
        return Call(seqnum, HostCall(direction), endpoint)
    if command != Command.SUBMIT or direction > 1 or endpoint >= _ENDPOINTS:
        message = f"command {command:#x}, direction {direction}, endpoint {endpoint}"
        raise WireError(message)
    if length > LIMIT_BYTES or packets not in _NO_PACKETS:
        message = f"a transfer of {length} bytes in {packets} isochronous packets"
        raise WireError(message)
    return Submit(seqnum, bool(direction), endpoint, length, setup, devid, first, interval)
