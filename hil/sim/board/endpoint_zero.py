"""Endpoint zero: parse SETUP packets, pass them to the interface classes, answer standard requests.

Source: usb-device 0.3.2, control_pipe.rs and device.rs.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.sim.board.descriptors import DescriptorSet

__all__ = [
    "BUFFER_BYTES",
    "EPIPE",
    "EndpointZero",
    "Handshake",
    "Recipient",
    "Reply",
    "RequestKind",
    "SetupPacket",
    "UsbClass",
]

BUFFER_BYTES: Final = 256
"""Size of the stack's control buffer (firmware: Cargo.toml). Longer data from the host get a STALL and stop
USB.

By the stack's source (control_pipe.rs, handle_setup and handle_out; synopsys-usb-otg: endpoint_memory.rs) the
firmware never reads the data that the host sends after the STALL from their buffer, so no further packet
passes it until power goes. Not seen on hardware.
"""

EPIPE: Final = -32
"""The status of a transfer that got a STALL, as Linux' USB core gives it."""

_DIRECTION_IN: Final = 0x80
_MOST_U8: Final = 0xFF
_MOST_ADDRESS: Final = 127
_SETUP: Final = struct.Struct("<BBHHH")


class RequestKind(enum.IntEnum):
    """Standard that defines a request: bits 5 and 6 of `bmRequestType`."""

    STANDARD = 0
    CLASS = 1
    VENDOR = 2
    RESERVED = 3


class Recipient(enum.IntEnum):
    """Recipient of a request: the low five bits of `bmRequestType`. The stack treats all above 3 alike."""

    DEVICE = 0
    INTERFACE = 1
    ENDPOINT = 2
    OTHER = 3
    RESERVED = 4


class Handshake(enum.Enum):
    """The answer that refuses a request."""

    STALL = "stall"


Reply: TypeAlias = bytes | Literal[Handshake.STALL] | None
"""An answer: bytes (for OUT: accepted), a STALL, or None if the request is for another class."""


@dataclass(frozen=True, slots=True)
class SetupPacket:
    """The fields of a SETUP packet (USB 2.0, table 9-2)."""

    request_type: int
    request: int
    value: int
    index: int
    length: int

    @classmethod
    def parse(cls, packet: bytes) -> SetupPacket:
        """Parse the eight bytes; raise struct.error if there are more or fewer."""
        return cls(*_SETUP.unpack(packet))

    @property
    def is_in(self) -> bool:
        """Whether data go from the device to the host."""
        return self.request_type >= _DIRECTION_IN

    @property
    def kind(self) -> int:
        """The `RequestKind` of the request."""
        return self.request_type >> 5 & 3

    @property
    def recipient(self) -> int:
        """The `Recipient` of the request."""
        return min(self.request_type & 0x1F, Recipient.RESERVED)

    def is_for(self, kind: RequestKind, interface: int) -> bool:
        """Return True for a request of this kind to this interface; all 16 bits of `wIndex` are compared."""
        return self.request_type & 0x7F == kind << 5 | Recipient.INTERFACE and self.index == interface


class UsbClass(Protocol):
    """A USB class, which answers the requests to its interfaces."""

    def control_in(self, setup: SetupPacket) -> Reply:
        """Answer a request for data; return None if it is for another class."""
        ...

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:
        """Accept or refuse a request with data; return None if it is for another class."""
        ...

    def reset(self) -> None:
        """Handle a bus reset."""
        ...


class _StandardRequest:
    """`bRequest` of standard requests (usb-device: control.rs)."""

    GET_STATUS: Final = 0
    CLEAR_FEATURE: Final = 1
    SET_FEATURE: Final = 3
    SET_ADDRESS: Final = 5
    GET_DESCRIPTOR: Final = 6
    GET_CONFIGURATION: Final = 8
    SET_CONFIGURATION: Final = 9
    GET_INTERFACE: Final = 10
    SET_INTERFACE: Final = 11


class _Feature:
    """`wValue` of the two feature requests (usb-device: control.rs)."""

    ENDPOINT_HALT: Final = 0
    REMOTE_WAKEUP: Final = 1


_ENDPOINT_COUNT: Final = 4
"""Number of endpoints of the controller; a higher one counts as halted (synopsys-usb-otg: bus.rs)."""


class EndpointZero:
    """Endpoint zero of one device.

    Args:
        descriptors: Descriptors for GET_DESCRIPTOR.
        classes: Classes that may answer first, in this order.

    Attributes:
        halted: Addresses of halted endpoints.
        configured: Whether the host has set the configuration.
        stopped: Whether a too long control write has stopped USB.
    """

    def __init__(self, descriptors: DescriptorSet, classes: Sequence[UsbClass]) -> None:
        self._descriptors = descriptors
        self._classes = classes
        self.halted: set[int] = set()
        self.configured = False
        self._remote_wakeup = False
        self.stopped = False

    def transfer(self, packet: bytes, data: bytes) -> tuple[int, bytes]:
        """Run one control transfer; return its status (0 or -32) and at most `wLength` bytes for the host."""
        setup = SetupPacket.parse(packet)
        if not setup.is_in and setup.length > BUFFER_BYTES:
            self.stopped = True
            return EPIPE, b""
        reply = self._reply(setup, data[: setup.length])
        if not isinstance(reply, bytes):
            return EPIPE, b""
        return 0, reply[: setup.length] if setup.is_in else b""

    def reset(self) -> None:
        """Handle a bus reset."""
        self.halted.clear()
        self.configured = False
        self._remote_wakeup = False
        for usb_class in self._classes:
            usb_class.reset()

    def _reply(self, setup: SetupPacket, data: bytes) -> Reply:
        for usb_class in self._classes:
            reply = usb_class.control_in(setup) if setup.is_in else usb_class.control_out(setup, data)
            if reply is not None:
                return reply
        if setup.kind != RequestKind.STANDARD:
            return Handshake.STALL
        return self._standard_in(setup) if setup.is_in else self._standard_out(setup)

    def _standard_in(self, setup: SetupPacket) -> Reply:  # noqa: PLR0911  # one return for each request
        match setup.recipient, setup.request:
            case Recipient.DEVICE, _StandardRequest.GET_STATUS:
                return bytes((2 * self._remote_wakeup, 0))
            case Recipient.INTERFACE, _StandardRequest.GET_STATUS:
                return bytes(2)
            case Recipient.ENDPOINT, _StandardRequest.GET_STATUS:
                return bytes((self._is_halted(setup.index & 0x8F), 0))
            case Recipient.DEVICE, _StandardRequest.GET_DESCRIPTOR:
                found = self._descriptors.find(setup.value >> 8, setup.value & 0xFF, setup.index)
                return Handshake.STALL if found is None else found
            case Recipient.DEVICE, _StandardRequest.GET_CONFIGURATION:
                return bytes((self.configured,))
            case Recipient.INTERFACE, _StandardRequest.GET_INTERFACE if setup.index <= _MOST_U8:
                return bytes(1)
        return Handshake.STALL

    def _standard_out(self, setup: SetupPacket) -> Reply:
        match setup.recipient, setup.request, setup.value:
            case (
                Recipient.DEVICE,
                _StandardRequest.CLEAR_FEATURE | _StandardRequest.SET_FEATURE,
                _Feature.REMOTE_WAKEUP,
            ):
                self._remote_wakeup = setup.request == _StandardRequest.SET_FEATURE
            case Recipient.ENDPOINT, _StandardRequest.SET_FEATURE, _Feature.ENDPOINT_HALT if (
                not setup.index & 0x0F
            ):
                return Handshake.STALL  # the endpoint that would say "accepted" is halted (device.rs)
            case (
                Recipient.ENDPOINT,
                _StandardRequest.CLEAR_FEATURE | _StandardRequest.SET_FEATURE,
                _Feature.ENDPOINT_HALT,
            ):
                self._set_halted(setup.index & 0x8F, halted=setup.request == _StandardRequest.SET_FEATURE)
            case Recipient.DEVICE, _StandardRequest.SET_ADDRESS, address if 1 <= address <= _MOST_ADDRESS:
                self.configured = False
            case Recipient.DEVICE, _StandardRequest.SET_CONFIGURATION, 0 | 1:
                self.configured = setup.value == 1
            case Recipient.INTERFACE, _StandardRequest.SET_INTERFACE, 0 if setup.index <= _MOST_U8:
                pass
            case _:
                return Handshake.STALL
        return b""

    def _is_halted(self, address: int) -> bool:
        return address & 0x0F >= _ENDPOINT_COUNT or address in self.halted

    def _set_halted(self, address: int, *, halted: bool) -> None:
        """Halt an endpoint or release it. Endpoint zero recovers with the next SETUP packet."""
        if not 0 < address & 0x0F < _ENDPOINT_COUNT:
            return
        if halted:
            self.halted.add(address)
        else:
            self.halted.discard(address)
