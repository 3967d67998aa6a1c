"""Endpoint zero: SETUP packets, who answers them, and the standard requests.

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
"""The stack's control buffer (firmware: Cargo.toml). Longer data from the host get a STALL and stop USB.

By the stack's source (control_pipe.rs, handle_setup and handle_out; synopsys-usb-otg: endpoint_memory.rs)
the data that come all the same are never taken from their buffer, and nothing else passes it until power
goes. Not seen on hardware.
"""

EPIPE: Final = -32
"""The status of a transfer that got a STALL, as Linux' USB core gives it."""

_DIRECTION_IN: Final = 0x80
_MOST_U8: Final = 0xFF
_MOST_ADDRESS: Final = 127
_SETUP: Final = struct.Struct("<BBHHH")


class RequestKind(enum.IntEnum):
    """Who defines a request: bits 5 and 6 of `bmRequestType`."""

    STANDARD = 0
    CLASS = 1
    VENDOR = 2
    RESERVED = 3


class Recipient(enum.IntEnum):
    """Whom a request is for: the low five bits of `bmRequestType`; all above 3 are one to the stack."""

    DEVICE = 0
    INTERFACE = 1
    ENDPOINT = 2
    OTHER = 3
    RESERVED = 4


class Handshake(enum.Enum):
    """The other answer to a request."""

    STALL = "stall"


Reply: TypeAlias = bytes | Literal[Handshake.STALL] | None
"""An answer: bytes (for OUT: accepted), a STALL, or None where somebody else may answer."""


@dataclass(frozen=True, slots=True)
class SetupPacket:
    """A SETUP packet, by its fields (USB 2.0, table 9-2)."""

    request_type: int
    request: int
    value: int
    index: int
    length: int

    @classmethod
    def parse(cls, packet: bytes) -> SetupPacket:
        """Read the eight bytes; raises struct.error for any other number."""
        return cls(*_SETUP.unpack(packet))

    @property
    def is_in(self) -> bool:
        """Device to host."""
        return self.request_type >= _DIRECTION_IN

    @property
    def kind(self) -> int:
        """Who defines the request, a `RequestKind`."""
        return self.request_type >> 5 & 3

    @property
    def recipient(self) -> int:
        """Whom it is for, a `Recipient`."""
        return min(self.request_type & 0x1F, Recipient.RESERVED)

    def is_for(self, kind: RequestKind, interface: int) -> bool:
        """Tell whether this is a request of a kind for an interface, all 16 bits of `wIndex` compared."""
        return self.request_type & 0x7F == kind << 5 | Recipient.INTERFACE and self.index == interface


class UsbClass(Protocol):
    """What answers the requests of its own interfaces."""

    def control_in(self, setup: SetupPacket) -> Reply:
        """Answer a request for data."""
        ...

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:
        """Take a request."""
        ...

    def reset(self) -> None:
        """Begin again after a bus reset."""
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
"""Endpoint numbers of the controller; every higher one counts as halted (synopsys-usb-otg: bus.rs)."""


class EndpointZero:
    """Endpoint zero of one device.

    Args:
        descriptors: What GET_DESCRIPTOR answers.
        classes: Asked in this order, before the standard requests.
    """

    def __init__(self, descriptors: DescriptorSet, classes: Sequence[UsbClass]) -> None:
        self._descriptors = descriptors
        self._classes = classes
        self.halted: set[int] = set()
        self.configured = False
        self._remote_wakeup = False
        self.stopped = False

    def transfer(self, packet: bytes, data: bytes) -> tuple[int, bytes]:
        """Run one control transfer: its status (0 or -32) and the bytes for the host, cut to `wLength`."""
        setup = SetupPacket.parse(packet)
        if not setup.is_in and setup.length > BUFFER_BYTES:
            self.stopped = True
            return EPIPE, b""
        reply = self._reply(setup, data[: setup.length])
        if not isinstance(reply, bytes):
            return EPIPE, b""
        return 0, reply[: setup.length] if setup.is_in else b""

    def reset(self) -> None:
        """Begin again after a bus reset."""
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

    def _standard_in(self, setup: SetupPacket) -> Reply:  # noqa: PLR0911  # one return per request of the table
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
                return Handshake.STALL  # what would say "accepted" has just been halted (device.rs)
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
        """Halt an endpoint or let it go on; endpoint zero recovers with the next SETUP packet by itself."""
        if not 0 < address & 0x0F < _ENDPOINT_COUNT:
            return
        if halted:
            self.halted.add(address)
        else:
            self.halted.discard(address)
