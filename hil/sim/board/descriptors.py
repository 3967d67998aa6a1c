"""USB descriptors of a board and of its boot loader, byte for byte.

The firmware requests interface association descriptors, but its USB stack writes them only for devices built
as composite. The board is not, so it has none (firmware: main.rs; usb-device: descriptor.rs).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "LANGUAGE",
    "VENDOR_ID",
    "DescriptorSet",
    "DescriptorType",
    "board_descriptors",
    "boot_loader_descriptors",
    "version_bcd",
]

VENDOR_ID: Final = 0x2B23
BOARD_PRODUCT_ID: Final = 0x1012
LANGUAGE: Final = 0x0409
"""US English, the only language (usb-device: device_builder.rs, the default of string descriptors)."""

_MANUFACTURER: Final = "Red Hat Inc."
_USB_VERSION: Final = 0x0210
_CONTROL_PACKET_BYTES: Final = 64
_BUS_POWERED: Final = 0x80
_MAX_POWER_MA: Final = 250


class DescriptorType:
    """`bDescriptorType`: the values that this USB stack uses (usb-device: descriptor.rs)."""

    DEVICE: Final = 1
    CONFIGURATION: Final = 2
    STRING: Final = 3
    INTERFACE: Final = 4
    ENDPOINT: Final = 5
    BOS: Final = 15
    CAPABILITY: Final = 16
    DFU_FUNCTIONAL: Final = 0x21
    CLASS_INTERFACE: Final = 0x24


@dataclass(frozen=True, slots=True)
class DescriptorSet:
    """The descriptors that GET_DESCRIPTOR returns.

    Attributes:
        device: Device descriptor.
        configuration: The only configuration descriptor, with its interfaces and endpoints.
        bos: Binary device object store.
        strings: Text of each string descriptor by index.
    """

    device: bytes
    configuration: bytes
    bos: bytes
    strings: dict[int, str] = field(hash=False)

    def find(self, kind: int, index: int, language: int) -> bytes | None:
        """Return one descriptor, or None if the USB stack answers with a STALL.

        The index matters only for strings. Strings exist in one language. String zero lists the languages,
        for any `language` (usb-device: device.rs).
        """
        whole = {
            DescriptorType.DEVICE: self.device,
            DescriptorType.CONFIGURATION: self.configuration,
            DescriptorType.BOS: self.bos,
        }.get(kind)
        if whole is not None or kind != DescriptorType.STRING:
            return whole
        if index == 0:
            return _descriptor(DescriptorType.STRING, LANGUAGE.to_bytes(2, "little"))
        if language != LANGUAGE or index not in self.strings:
            return None
        return _descriptor(DescriptorType.STRING, self.strings[index].encode("utf-16-le"))


def version_bcd(version: str) -> int:
    """Return `bcdDevice` for a firmware version: `0.09` is 0x0009 (firmware: version.rs)."""
    major, _, minor = version.partition(".")
    return (_digits_bcd(major) & 0xFF) << 8 | _digits_bcd(minor)


def board_descriptors(serial: str, version: str) -> DescriptorSet:
    """Return the descriptors of a running board (firmware: main.rs)."""
    body = _serial_interfaces() + _dfu_run_time_interface() + _interface(3, 0, (0xFF, 1, 1))
    return DescriptorSet(
        device=_device(BOARD_PRODUCT_ID, version_bcd(version)),
        configuration=_configuration(4, body),
        bos=_bos(),
        strings={1: _MANUFACTURER, 2: "Dutlink", 3: serial},
    )


def boot_loader_descriptors(serial: str, product_id: int) -> DescriptorSet:
    """Return the descriptors of a boot loader: one interface in DFU mode (bootloader: main.rs).

    Its functional descriptor says: will detach, downloads only, 250 ms, blocks of 256 bytes.
    """
    functional = _descriptor(DescriptorType.DFU_FUNCTIONAL, struct.pack("<BHHH", 0x09, 250, 256, 0x011A))
    return DescriptorSet(
        device=_device(product_id, 0x0001),
        configuration=_configuration(1, _interface(0, 0, (0xFE, 1, 2), name=4) + functional),
        bos=_bos(),
        strings={
            1: _MANUFACTURER,
            2: "Dutlink DFU Mode",
            3: serial,
            4: "@Flash/0x08010000/01*064Kg,03*128Kg",
        },
    )


def _digits_bcd(digits: str) -> int:
    packed = 0
    for digit in digits:
        packed = packed << 4 | int(digit)
    return packed & 0xFFFF


def _descriptor(kind: int, body: bytes) -> bytes:
    return bytes((len(body) + 2, kind)) + body


def _device(product_id: int, bcd_device: int) -> bytes:
    body = struct.pack(
        "<HBBBBHHHBBBB",
        _USB_VERSION,
        *(0, 0, 0),
        _CONTROL_PACKET_BYTES,
        *(VENDOR_ID, product_id, bcd_device),
        *(1, 2, 3, 1),
    )
    return _descriptor(DescriptorType.DEVICE, body)


def _configuration(interfaces: int, body: bytes) -> bytes:
    total = 9 + len(body)
    head = struct.pack("<HBBBBB", total, interfaces, 1, 0, _BUS_POWERED, _MAX_POWER_MA // 2)
    return _descriptor(DescriptorType.CONFIGURATION, head) + body


def _interface(number: int, endpoints: int, usb_class: tuple[int, int, int], name: int = 0) -> bytes:
    return _descriptor(DescriptorType.INTERFACE, bytes((number, 0, endpoints, *usb_class, name)))


def _endpoint(address: int, attributes: int, packet_bytes: int, interval: int) -> bytes:
    return _descriptor(
        DescriptorType.ENDPOINT, struct.pack("<BBHB", address, attributes, packet_bytes, interval)
    )


def _serial_interfaces() -> bytes:
    """Return the CDC-ACM interfaces as usbd-serial writes them (usbd-serial: cdc_acm.rs)."""
    functional = (b"\x00\x10\x01", b"\x02\x00", b"\x06\x00\x01", b"\x01\x00\x01")
    return (
        _interface(0, 1, (2, 2, 0))
        + b"".join(_descriptor(DescriptorType.CLASS_INTERFACE, body) for body in functional)
        + _endpoint(0x81, 3, 8, 255)
        + _interface(1, 2, (0x0A, 0, 0))
        + _endpoint(0x82, 2, 64, 0)
        + _endpoint(0x01, 2, 64, 0)
    )


def _dfu_run_time_interface() -> bytes:
    """Return the DFU run-time interface; its upload bit equals its download bit (usbd-dfu-rt: class.rs)."""
    functional = struct.pack("<BHHH", 0x0B, 500, 2048, 0x011A)
    return _interface(2, 0, (0xFE, 1, 1)) + _descriptor(DescriptorType.DFU_FUNCTIONAL, functional)


def _bos() -> bytes:
    """Return one capability, the USB 2.0 extension without attributes (usb-device: descriptor.rs)."""
    capability = _descriptor(DescriptorType.CAPABILITY, b"\x02" + bytes(4))
    return _descriptor(DescriptorType.BOS, struct.pack("<HB", 5 + len(capability), 1)) + capability
