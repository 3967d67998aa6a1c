"""What the bus says about one device before anything is asked of the board itself.

Strings are read with requests of our own: pyusb's attributes hide every cause behind one `ValueError`, and
their time limit of a second is too short for a board in the middle of a power sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from hil.dutlink.firmware import FirmwareVersion
from hil.dutlink.link import FOREIGN, Device, Link, let_go, usb_devices
from hil.dutlink.requests import CONTROL_INTERFACE, DFU_INTERFACE, UsbId
from hil.dutlink.translate import Source, translate
from hil.errors import BoardReplyError

if TYPE_CHECKING:
    from hil.dutlink.host import Host

__all__ = ["Candidate", "candidates", "chip_boot_loader_seen"]

Descriptor: TypeAlias = Any  # pyusb ships no types

_STANDARD_IN = 0x80
_GET_DESCRIPTOR = 6
_STRING = 3
_ENGLISH = 0x0409
_STRING_SIZE = 254


@dataclass(slots=True)
class Candidate:
    """A device with a board's ids.

    Attributes:
        device: pyusb's device.
        control_interface: Number of the interface that takes requests; None in a boot loader.
        boot_loader: It is there, but cannot run tests.
    """

    device: Device
    control_interface: int | None
    boot_loader: bool

    @property
    def location(self) -> str:
        """Where it is plugged in, for people."""
        return f"bus {self.device.bus} address {self.device.address}"

    @property
    def firmware(self) -> FirmwareVersion:
        """The version in the device descriptor, which needs no permission and no answer."""
        return FirmwareVersion.from_bcd(self.device.bcdDevice)

    def read_serial(self, limit_s: float) -> str:
        """Ask for the serial number.

        Raises:
            HilError: As opening and asking a board can fail.
            BoardReplyError: It has none.
        """
        what = f"the serial number of the board at {self.location} cannot be read"
        value = _STRING << 8 | self.device.iSerialNumber
        limit_ms = max(1, round(limit_s * 1000))
        try:
            reply = self.device.ctrl_transfer(
                _STANDARD_IN, _GET_DESCRIPTOR, value, _ENGLISH, _STRING_SIZE, limit_ms
            )
        except FOREIGN as error:
            raise translate(error, Source.USB_OPEN, what) from error
        text = bytes(reply)[2 : reply[0] if len(reply) else 0].decode("utf-16-le", errors="replace")
        if not text or not text.isalnum():
            raise BoardReplyError(what, why=f"it answered {text!r}", remedy="replug the board")
        return text

    def link(self, serial: str) -> Link:
        """Make the link for control requests; only for one that has a control interface."""
        return Link(self.device, self.control_interface or 0, serial)

    def close(self) -> None:
        """Let go of the device."""
        let_go(self.device)


def candidates(host: Host) -> list[Candidate]:
    """List the boards and boot loaders on the host's bus; opens none of them.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
    """
    ids = (UsbId.FIRMWARE, UsbId.BOOT_LOADER)
    devices = [dev for dev in usb_devices(host) if dev.idVendor == UsbId.VENDOR and dev.idProduct in ids]
    return [candidate for candidate in map(_candidate, devices) if candidate is not None]


def chip_boot_loader_seen(host: Host) -> bool:
    """Whether a chip in its factory boot loader is on the bus: perhaps a board without any firmware."""
    wanted = (UsbId.CHIP_VENDOR, UsbId.CHIP_BOOT_LOADER)
    return any((dev.idVendor, dev.idProduct) == wanted for dev in usb_devices(host))


def _candidate(device: Device) -> Candidate | None:
    """Tell firmware from boot loader by the interfaces; None for a device that just left the bus.

    The product id does not tell: the boot loader's source gives itself the firmware's (boot loader: main.rs).
    """
    try:
        interfaces = [
            (number.bInterfaceNumber, _kind(number)) for configuration in device for number in configuration
        ]
    except (*FOREIGN, IndexError):
        return None
    control = next((number for number, kind in interfaces if kind == CONTROL_INTERFACE), None)
    dfu = any(kind == DFU_INTERFACE for _, kind in interfaces)
    boot_loader = control is None or dfu or device.idProduct == UsbId.BOOT_LOADER
    return Candidate(device, control, boot_loader)


def _kind(interface: Descriptor) -> tuple[int, int, int]:
    return interface.bInterfaceClass, interface.bInterfaceSubClass, interface.bInterfaceProtocol
