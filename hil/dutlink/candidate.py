"""Devices on the bus that may be boards.

The serial number is read with a request of this module, not with pyusb's attribute: that raises the same
`ValueError` for every cause, and its time limit of one second is too short during a power sequence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from hil.dutlink.usb.backend import PYUSB_ERRORS, Device, release, usb_devices
from hil.dutlink.usb.control_link import ControlLink
from hil.dutlink.usb.device_node import node_at, serials_by_address
from hil.dutlink.usb.error_mapping import ErrorSource, translate
from hil.dutlink.usb.firmware import FirmwareVersion, firmware_too_old
from hil.dutlink.usb.protocol import CONTROL_INTERFACE, DFU_INTERFACE, UsbId
from hil.errors import BoardReplyError, BoardTimeoutError, TwinBoardsError

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.host import Host

__all__ = ["Candidate", "candidates", "chip_boot_loader_seen"]

Descriptor: TypeAlias = Any  # pyusb ships no types

_STANDARD_IN = 0x80
_GET_DESCRIPTOR = 6
_STRING = 3
_ENGLISH = 0x0409
_STRING_SIZE = 254
_SERIAL: Final = re.compile(r"[0-9a-f]{8}")  # firmware: dfu.rs, get_serial_str


class Candidate(NamedTuple):
    """A device with a board's ids.

    Attributes:
        device: pyusb's device.
        control_interface: The number of the interface that takes requests; None in a boot loader, and with
            a firmware before 0.08.
        boot_loader: Whether it is in a boot loader (DFU mode) and cannot run tests.
        node: Its device node.
        listed_serial: Its serial number in the kernel's list, which needs no permission and no answer; None
            if the kernel does not list it.
        twins: The locations of all boards with this serial number, if there are several.
    """

    device: Device
    control_interface: int | None
    boot_loader: bool
    node: Path
    listed_serial: str | None = None
    twins: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """Bus and address, for messages."""
        return f"bus {self.device.bus} address {self.device.address}"

    @property
    def firmware(self) -> FirmwareVersion:
        """The version in the device descriptor, which needs no permission and no answer."""
        return FirmwareVersion.from_bcd(self.device.bcdDevice)

    def read_serial(self, limit_s: float) -> str:
        """Read the serial number from the device.

        Raises:
            HilError: The device cannot be opened, or the request fails.
            BoardReplyError: The device has no serial number, or one that no board has.
            TwinBoardsError: Another board on the bus has the same.
        """
        self._check_alone()
        name = f"board {self.listed_serial} at" if self.listed_serial else "the board at"
        what = f"the serial number of {name} {self.location} cannot be read"
        value = _STRING << 8 | self.device.iSerialNumber
        limit_ms = max(1, round(limit_s * 1000))
        try:
            reply = self.device.ctrl_transfer(
                _STANDARD_IN, _GET_DESCRIPTOR, value, _ENGLISH, _STRING_SIZE, limit_ms
            )
        except PYUSB_ERRORS as error:
            known = translate(error, ErrorSource.USB_OPEN, what, serial=self.listed_serial, node=self.node)
            if isinstance(known, BoardTimeoutError):
                known.what = f"{name} {self.location} did not answer within {limit_s:.1f} s"
                known.why = "it hangs, or it works through a power sequence"
            raise known from error
        text = bytes(reply)[2 : reply[0] if len(reply) else 0].decode("utf-16-le", errors="replace")
        if not text:
            raise BoardReplyError(what, why="it answered none", remedy="replug the board")
        if not _SERIAL.fullmatch(text):
            raise BoardReplyError(
                f"the board at {self.location} says that its serial number is {text!r}",
                why="a DUTLink's is eight hexadecimal digits in lower case, from its chip",
                remedy="replug it; if it says so again, flash the public firmware",
            )
        return text

    def _check_alone(self) -> None:
        if self.twins:
            places = ", ".join(self.twins)
            raise TwinBoardsError(
                f"{len(self.twins)} boards have the serial number {self.listed_serial} ({places})",
                why="what is told to one of them might reach the other, so none is used",
                remedy="unplug all but one; the public firmware takes the number from the chip: flash it",
                serial=self.listed_serial,
            )

    def link(self, serial: str) -> ControlLink:
        """Return a control link to the device, which must not be in its boot loader.

        Raises:
            FirmwareTooOldError: The device has no control interface.
        """
        if self.control_interface is None:
            raise firmware_too_old(self.firmware, serial, "it has no interface for control requests")
        return ControlLink(self.device, self.control_interface, serial)

    def close(self) -> None:
        """Close the device."""
        release(self.device)


def candidates(host: Host) -> list[Candidate]:
    """List the boards and boot loaders on the host's bus, without opening them.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
    """
    ids = (UsbId.FIRMWARE, UsbId.BOOT_LOADER)
    devices = [dev for dev in usb_devices(host) if dev.idVendor == UsbId.VENDOR and dev.idProduct in ids]
    listed = serials_by_address(host)
    found = [one for device in devices if (one := _candidate(device, host, listed)) is not None]
    return [one._replace(twins=_twins(one, found)) for one in found]


def _twins(candidate: Candidate, found: list[Candidate]) -> tuple[str, ...]:
    """Return the locations of all boards with this one's serial number, if there are several."""
    serial = candidate.listed_serial
    places = tuple(one.location for one in found if serial is not None and one.listed_serial == serial)
    return places if len(places) > 1 else ()


def chip_boot_loader_seen(host: Host) -> bool:
    """Return True if a chip in its factory boot loader is on the bus, perhaps a board without firmware."""
    wanted = (UsbId.CHIP_VENDOR, UsbId.CHIP_BOOT_LOADER)
    return any((dev.idVendor, dev.idProduct) == wanted for dev in usb_devices(host))


def _candidate(device: Device, host: Host, listed: dict[tuple[int, int], str]) -> Candidate | None:
    """Return the candidate for a device, or None if the device just left the bus.

    Firmware and boot loader differ by their interfaces: each release of the boot loader has the firmware's
    product id (boot loader: main.rs), and its README shows another one. A firmware before 0.08 has neither a
    control interface nor one in DFU mode.
    """
    try:
        interfaces = [
            (number.bInterfaceNumber, _kind(number)) for configuration in device for number in configuration
        ]
    except (*PYUSB_ERRORS, IndexError):
        return None
    control = next((number for number, kind in interfaces if kind == CONTROL_INTERFACE), None)
    dfu = any(kind == DFU_INTERFACE for _, kind in interfaces)
    boot_loader = dfu or device.idProduct == UsbId.BOOT_LOADER
    serial = listed.get((device.bus, device.address))
    return Candidate(device, control, boot_loader, node_at(host, device.bus, device.address), serial)


def _kind(interface: Descriptor) -> tuple[int, int, int]:
    return interface.bInterfaceClass, interface.bInterfaceSubClass, interface.bInterfaceProtocol
