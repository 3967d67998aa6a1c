"""USB/IP messages before a device is imported, as frozen values; parse and format are inverses.

Source: the Linux kernel's Documentation/usb/usbip_protocol.rst, version 1.1.1. All numbers are big-endian.
Two additions are used only by our own client: the host listing (the devices that libusb would list on the
simulated host, with the descriptors that Linux keeps in sysfs) and two statuses.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from hil.sim.usb_identity import UsbIdentity

__all__ = [
    "IMPORT_REQUEST_BYTES",
    "OPERATION_BYTES",
    "RECORD_BYTES",
    "DeviceRecord",
    "ImportRequest",
    "ImportStatus",
    "Operation",
    "OperationHeader",
    "WireError",
    "format_list",
    "parse_list",
]


VERSION = 0x0111
_OPERATION = struct.Struct(">HHI")
_RECORD = struct.Struct(">256s32sIIIHHHBBBBBB")
_COUNT = struct.Struct(">I")
_BLOB = struct.Struct(">H")

OPERATION_BYTES = _OPERATION.size
RECORD_BYTES = _RECORD.size
IMPORT_REQUEST_BYTES = 32


class WireError(ValueError):
    """Bytes that are no valid USB/IP, or that request what no device has; the connection must end."""


class Operation(enum.IntEnum):
    """Codes of requests and answers before an import."""

    REQUEST_DEVICE_LIST = 0x8005
    REPLY_DEVICE_LIST = 0x0005
    REQUEST_IMPORT = 0x8003
    REPLY_IMPORT = 0x0003
    REQUEST_HOST_LIST = 0x8068
    REPLY_HOST_LIST = 0x0068


class ImportStatus(enum.IntEnum):
    """Status of an answer. 0 to 5 have the names of the usbip tools; the others are our additions."""

    OK = 0
    BUSY = 2
    NO_DEVICE = 4
    ERROR = 5
    DENIED = 0x6801
    NO_BACKEND = 0x6802


class OperationHeader(NamedTuple):
    """The eight bytes at the start of each request and answer before an import."""

    code: int
    status: int = 0

    def format(self) -> bytes:
        """Return the header's bytes."""
        return _OPERATION.pack(VERSION, self.code, self.status)

    @classmethod
    def parse(cls, raw: bytes) -> OperationHeader:
        """Parse a header; raise WireError for another protocol version."""
        version, code, status = _OPERATION.unpack(raw)
        if version != VERSION:
            message = f"USB/IP version {version:#06x}, not {VERSION:#06x}"
            raise WireError(message)
        return cls(code, status)


class ImportRequest(NamedTuple):
    """The device that a client requests.

    Attributes:
        busid: Bus id from a device list.
        sharer: Process id of a client that shares the device with others, or None for a stock client. It
            follows the NUL of the bus id, which a stock server never reads.
    """

    busid: str
    sharer: int | None = None

    def format(self) -> bytes:
        """Return the 32 bytes after the header."""
        tail = b"" if self.sharer is None else b"\0hil:%d" % self.sharer
        return (self.busid.encode() + tail).ljust(IMPORT_REQUEST_BYTES, b"\0")

    @classmethod
    def parse(cls, raw: bytes) -> ImportRequest:
        """Parse a request; ignore other bytes after the NUL, as a stock server does."""
        busid, _, tail = raw.partition(b"\0")
        mark, _, number = tail.rstrip(b"\0").partition(b":")
        sharer = int(number) if mark == b"hil" and number.isdigit() else None
        return cls(busid.decode("utf-8", "replace"), sharer)


class DeviceRecord(NamedTuple):
    """A device in a list or in the answer to an import.

    Attributes:
        busid: Its bus id, such as "1-1".
        busnum: Number of the bus.
        devnum: Its address; a device that is plugged in again gets a new one.
        identity: Facts from its descriptors.
        descriptors: Device and configuration descriptors, only in a host listing.
    """

    busid: str
    busnum: int
    devnum: int
    identity: UsbIdentity
    descriptors: bytes = b""

    def format(self) -> bytes:
        """Return the 312 bytes of an import's answer."""
        identity = self.identity
        path = f"/sys/devices/pci0000:00/0000:00:14.0/usb{self.busnum}/{self.busid}".encode()
        numbers = (
            self.busnum,
            self.devnum,
            identity.speed,
            identity.vendor_id,
            identity.product_id,
            identity.bcd_device,
        )
        counts = (identity.configuration_value, 1, len(identity.interfaces))
        return _RECORD.pack(path, self.busid.encode(), *numbers, *identity.device_class, *counts)

    def format_interfaces(self) -> bytes:
        """Return the bytes that follow the record in a list: four for each interface."""
        return b"".join(bytes((*triple, 0)) for triple in self.identity.interfaces)

    @classmethod
    def parse(cls, raw: bytes, interfaces: bytes = b"", descriptors: bytes = b"") -> DeviceRecord:
        """Parse a record; `interfaces` are the bytes that follow it in a list."""
        _, busid, bus, dev, speed, vendor, product, bcd, *rest = _RECORD.unpack(raw)
        triples = tuple(
            (base, sub, protocol) for base, sub, protocol, _ in struct.iter_unpack("4B", interfaces)
        )
        identity = UsbIdentity(vendor, product, bcd, tuple(rest[:3]), triples, speed, rest[3])
        return cls(busid.rstrip(b"\0").decode("utf-8", "replace"), bus, dev, identity, descriptors)


def format_list(records: list[DeviceRecord], *, for_host: bool = False) -> bytes:
    """Return the body of a device list; a host listing also has the descriptors."""
    parts = [_COUNT.pack(len(records))]
    for record in records:
        parts += [record.format(), record.format_interfaces()]
        if for_host:
            parts += [_BLOB.pack(len(record.descriptors)), record.descriptors]
    return b"".join(parts)


def parse_list(raw: bytes, *, for_host: bool = False) -> list[DeviceRecord]:
    """Parse the body of a device list; raise WireError if it ends too early."""
    try:
        return _parse_list(raw, for_host=for_host)
    except (struct.error, IndexError) as error:
        message = f"a device list of {len(raw)} bytes ends too early"
        raise WireError(message) from error


def _parse_list(raw: bytes, *, for_host: bool) -> list[DeviceRecord]:
    (count,) = _COUNT.unpack_from(raw)
    at = _COUNT.size
    records = []
    for _ in range(count):
        record = raw[at : at + RECORD_BYTES]
        at += RECORD_BYTES
        interfaces = raw[at : at + 4 * record[-1]]
        at += 4 * record[-1]
        descriptors = b""
        if for_host:
            (length,) = _BLOB.unpack_from(raw, at)
            at += _BLOB.size
            descriptors = raw[at : at + length]
            at += length
        records.append(DeviceRecord.parse(record, interfaces, descriptors))
    if at > len(raw):
        raise IndexError(at)
    return records
