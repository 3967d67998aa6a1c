"""Parse descriptors into objects for pyusb, with the names of the USB specification."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

from hil.sim.usbip.messages import WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Configuration",
    "EndpointDescriptor",
    "InterfaceDescriptor",
    "parse_configuration_descriptor",
    "parse_device_descriptor",
]

DEVICE_BYTES = 18
_CONFIGURATION_BYTES = 9
_INTERFACE = 4
_ENDPOINT = 5

_DEVICE_FIELDS = (
    *("bLength", "bDescriptorType", "bcdUSB", "bDeviceClass", "bDeviceSubClass", "bDeviceProtocol"),
    *("bMaxPacketSize0", "idVendor", "idProduct", "bcdDevice", "iManufacturer", "iProduct"),
    *("iSerialNumber", "bNumConfigurations"),
)
_CONFIGURATION_FIELDS = (
    *("bLength", "bDescriptorType", "wTotalLength", "bNumInterfaces", "bConfigurationValue"),
    *("iConfiguration", "bmAttributes", "bMaxPower"),
)
_INTERFACE_FIELDS = (
    *("bLength", "bDescriptorType", "bInterfaceNumber", "bAlternateSetting", "bNumEndpoints"),
    *("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol", "iInterface"),
)
_ENDPOINT_FIELDS = (
    *("bLength", "bDescriptorType", "bEndpointAddress", "bmAttributes", "wMaxPacketSize", "bInterval"),
)


class EndpointDescriptor(SimpleNamespace):
    """An endpoint; `extra_descriptors` holds the bytes of further descriptors after it."""

    bEndpointAddress: int  # noqa: N815 - the USB specification's name
    extra_descriptors: list[int]


class InterfaceDescriptor(SimpleNamespace):
    """An alternate setting of an interface, with its endpoints."""

    bInterfaceNumber: int  # noqa: N815 - the USB specification's name
    extra_descriptors: list[int]
    endpoints: list[EndpointDescriptor]


class Configuration(NamedTuple):
    """The configuration descriptor, and the alternate settings of each interface."""

    descriptor: SimpleNamespace
    interfaces: list[list[InterfaceDescriptor]]

    def interface_of(self, endpoint_address: int) -> int | None:
        """Return the number of the interface with this endpoint, or None."""
        for settings in self.interfaces:
            for setting in settings:
                if any(one.bEndpointAddress == endpoint_address for one in setting.endpoints):
                    return setting.bInterfaceNumber
        return None


def parse_device_descriptor(raw: bytes) -> SimpleNamespace:
    """Parse a device descriptor; raise WireError if it is none."""
    try:
        values = struct.unpack("<BBHBBBBHHHBBBB", raw[:DEVICE_BYTES])
    except struct.error as error:
        raise _garbled(raw) from error
    return SimpleNamespace(**dict(zip(_DEVICE_FIELDS, values, strict=True)))


def parse_configuration_descriptor(raw: bytes) -> Configuration:
    """Parse a configuration descriptor with its interfaces; raise WireError if it is none."""
    try:
        return _configuration_of(raw)
    except (struct.error, LookupError, TypeError, AttributeError) as error:
        raise _garbled(raw) from error


def _garbled(raw: bytes) -> WireError:
    return WireError(f"{len(raw)} bytes are no descriptors")


def _configuration_of(raw: bytes) -> Configuration:
    values = struct.unpack("<BBHBBBBB", raw[:_CONFIGURATION_BYTES])
    descriptor = SimpleNamespace(
        **dict(zip(_CONFIGURATION_FIELDS, values, strict=True)), extra_descriptors=[]
    )
    whole = Configuration(descriptor, [])
    latest: SimpleNamespace = descriptor
    for part in _parts(raw[_CONFIGURATION_BYTES:]):
        if part[1] == _INTERFACE:
            latest = _interface(part)
            _add_interface(whole, latest)
        elif part[1] == _ENDPOINT:
            latest = _endpoint(part)
            whole.interfaces[-1][-1].endpoints.append(latest)
        else:
            latest.extra_descriptors += part
    return whole


def _parts(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at + 2 <= len(raw) and raw[at] >= 2:  # noqa: PLR2004 - the bytes of length and type
        yield raw[at : at + raw[at]]
        at += raw[at]


def _interface(part: bytes) -> InterfaceDescriptor:
    fields = dict(zip(_INTERFACE_FIELDS, part, strict=False))
    return InterfaceDescriptor(**fields, extra_descriptors=[], endpoints=[])


def _endpoint(part: bytes) -> EndpointDescriptor:
    fields = dict(zip(_ENDPOINT_FIELDS, struct.unpack("<BBBBHB", part[:7]), strict=True))
    return EndpointDescriptor(**fields, bRefresh=0, bSynchAddress=0, extra_descriptors=[])


def _add_interface(whole: Configuration, one: InterfaceDescriptor) -> None:
    for settings in whole.interfaces:
        if settings[0].bInterfaceNumber == one.bInterfaceNumber:
            settings.append(one)
            return
    whole.interfaces.append([one])
