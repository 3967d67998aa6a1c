"""A bus of fake boards with pyusb's backend interface, which answer requests without the times of a board.

What it cannot show (the order of things on a real bus, sequences that take time, the shell) is shown on the
simulated board.
"""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import usb.backend
import usb.core

from hil.dutlink.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRMWARE_INTERFACES = [(2, 2, 0), (0x0A, 0, 0), (0xFE, 1, 1), (0xFF, 1, 1)]
FIELDS = (64, 256, 64, 32, 32, 32)
VENDOR_IN = 0xC1
VENDOR_OUT = 0x41


def usb_error(number: int | None) -> usb.core.USBError:
    kind = usb.core.USBTimeoutError if number == errno.ETIMEDOUT else usb.core.USBError
    return kind("[Errno]", None, number)


@dataclass
class FakeBoard:
    serial: str = "5a1c0e01"
    product_id: int = 0x1012
    vendor_id: int = 0x2B23
    bcd_device: int = 0x0009
    interfaces: list[tuple[int, int, int]] = field(default_factory=lambda: list(FIRMWARE_INTERFACES))
    version: bytes = b"0.09 git-ref: 1a2b3c4"
    power: bytes = b"0.00W 5.10V -0.00A"
    settings: list[bytes] = field(default_factory=lambda: [b""] * 6)
    snapshot: list[bytes] = field(default_factory=lambda: [b""] * 6)
    keeps: bool = True
    open_errors: deque[int | None] = field(default_factory=deque)
    errors: deque[int | None] = field(default_factory=deque)
    always: int | None = None
    open_always: int | None = None
    string_error: int | None = None
    requests: list[tuple[int, int, bytes]] = field(default_factory=list)
    limits_ms: list[int] = field(default_factory=list)
    opened: int = 0
    on_request: Any = None

    @property
    def done(self) -> list[tuple[int, int, bytes]]:
        """The OUT requests that have an effect, without refresh."""
        return [request for request in self.requests if request[0] != 0]

    def handle(self, kind: int, request: int, value: int, data: bytes, limit_ms: int) -> bytes:
        self.limits_ms.append(limit_ms)
        if self.always or self.errors:
            raise usb_error(self.always or self.errors.popleft())
        if kind == VENDOR_IN:
            return self._reply(request, value)
        self.requests.append((request, value, data))
        if self.on_request is not None:
            self.on_request(request, value)
        if request == 0:
            self.snapshot = list(self.settings)
        elif request == 3 and self.keeps:
            self.settings[value] = data
        return b""

    def _reply(self, request: int, value: int) -> bytes:
        if request == 3:
            return self.snapshot[value].ljust(FIELDS[value], b"\0")
        if request == 4 and value < 2:
            return (self.version, self.power)[value]
        raise usb_error(errno.EPIPE)


class FakeBackend(usb.backend.IBackend):  # type: ignore[misc]
    def __init__(self, boards: list[FakeBoard]) -> None:
        super().__init__()
        self.boards = boards

    def enumerate_devices(self) -> Iterator[FakeBoard]:
        yield from self.boards

    def get_device_descriptor(self, dev: FakeBoard) -> Any:
        descriptor = SimpleNamespace(
            bLength=18, bDescriptorType=1, bcdUSB=0x0210, bDeviceClass=0, bDeviceSubClass=0, bDeviceProtocol=0
        )
        descriptor.__dict__.update(bMaxPacketSize0=64, idVendor=dev.vendor_id, idProduct=dev.product_id)
        descriptor.__dict__.update(bcdDevice=dev.bcd_device, iManufacturer=1, iProduct=2, iSerialNumber=3)
        descriptor.__dict__.update(bNumConfigurations=1, address=id(dev) % 100, bus=1, port_number=1)
        descriptor.__dict__.update(port_numbers=(1,), speed=2)
        return descriptor

    def get_configuration_descriptor(self, dev: FakeBoard, config: int) -> Any:
        if config:
            raise IndexError
        return SimpleNamespace(
            bLength=9,
            bDescriptorType=2,
            wTotalLength=9,
            bNumInterfaces=len(dev.interfaces),
            bConfigurationValue=1,
            iConfiguration=0,
            bmAttributes=0x80,
            bMaxPower=125,
            extra_descriptors=[],
        )

    def get_interface_descriptor(self, dev: FakeBoard, intf: int, alt: int, config: int) -> Any:
        if intf >= len(dev.interfaces) or alt or config:
            raise IndexError
        kind = dev.interfaces[intf]
        return SimpleNamespace(
            bLength=9,
            bDescriptorType=4,
            bInterfaceNumber=intf,
            bAlternateSetting=0,
            bNumEndpoints=0,
            bInterfaceClass=kind[0],
            bInterfaceSubClass=kind[1],
            bInterfaceProtocol=kind[2],
            iInterface=0,
            extra_descriptors=[],
        )

    def open_device(self, dev: FakeBoard) -> FakeBoard:
        if dev.open_always or dev.open_errors:
            raise usb_error(dev.open_always or dev.open_errors.popleft())
        dev.opened += 1
        return dev

    def close_device(self, dev_handle: FakeBoard) -> None:
        dev_handle.opened -= 1

    def ctrl_transfer(  # noqa: PLR0913, PLR0917 - pyusb's signature
        self,
        dev_handle: FakeBoard,
        bmRequestType: int,  # noqa: N803 - pyusb's name
        bRequest: int,  # noqa: N803 - pyusb's name
        wValue: int,  # noqa: N803 - pyusb's name
        wIndex: int,  # noqa: N803 - pyusb's name
        data: Any,
        timeout: int,
    ) -> int:
        if bmRequestType == 0x80:
            if dev_handle.string_error or dev_handle.always:
                raise usb_error(dev_handle.string_error or dev_handle.always)
            text = dev_handle.serial.encode("utf-16-le")
            reply = bytes([len(text) + 2, 3]) + text
        else:
            assert wIndex == dev_handle.interfaces.index((0xFF, 1, 1))
            sent = data.tobytes() if bmRequestType == VENDOR_OUT else b""
            reply = dev_handle.handle(bmRequestType, bRequest, wValue, sent, timeout)
        for position, byte in enumerate(reply[: len(data)]):
            data[position] = byte
        return len(reply[: len(data)]) if bmRequestType & 0x80 else len(data)


def host_with(*boards: FakeBoard, dev: Path) -> Host:
    backend = FakeBackend(list(boards))
    return Host("a fake host", backend=lambda: backend, dev=dev)
