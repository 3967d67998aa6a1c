"""USB disks by the socket that they are plugged into.

A name proves nothing: two sticks may have the same serial number, and udev may give a name to another disk a
moment later. A board's stick, however, always comes at the USB socket to which the board's mux is cabled. The
kernel distinguishes sockets (`2-1.3` is bus 2, port 1, port 3 of the hub there), and gives a device a new
number (`devnum`) each time that it is plugged in.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hil.flash.disk.sysfs import list_disks, usb_names_at, usb_number_at

if TYPE_CHECKING:
    from pathlib import Path

    from hil.flash.disk.sysfs import BlockDevice

__all__ = [
    "StickNames",
    "UsbDisk",
    "board_is_at",
    "connected_s",
    "devices_by_socket",
    "disks_by_socket",
    "is_usb_place",
]

_PLACE = re.compile(r"[0-9]{1,5}-[0-9]{1,5}(\.[0-9]{1,5}){0,8}")
_LONGEST_TEXT_BYTES = 4096


class StickNames(NamedTuple):
    """The names and the size of a stick, as the stick reports them.

    Attributes:
        vendor: USB vendor, four hexadecimal digits.
        product: USB product, four hexadecimal digits.
        serial: Its serial number, which may be empty, or the same as that of other sticks.
        size_bytes: Its size.
    """

    vendor: str
    product: str
    serial: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UsbDisk:
    """A USB device with disks.

    Attributes:
        socket: The USB socket that it is plugged into.
        plug_number: A number that differs each time that a device is plugged in there.
        names: Its names, and the size of its medium.
        media: Its disks that have a medium; a card reader may have several.
    """

    socket: str
    plug_number: str
    names: StickNames
    media: tuple[BlockDevice, ...]

    @property
    def identity(self) -> str:
        """A text that no other disk has, and that changes when the disk is plugged in again."""
        return " ".join((self.socket, self.plug_number, *(medium.key for medium in self.media)))

    @property
    def is_ready(self) -> bool:
        """Whether it has a medium that can be used."""
        return bool(self.media and self.names.vendor)

    def __str__(self) -> str:
        return f"{self.media[0].name if self.media else 'a disk'} at USB socket {self.socket}"


def disks_by_socket(sys: Path) -> dict[str, UsbDisk]:
    """Return the USB disks that are there now, by socket."""
    found: dict[Path, list[BlockDevice]] = {}
    for disk in list_disks(sys):
        device = disk.usb_device
        if device is not None:
            found.setdefault(device, []).append(disk)
    return {device.name: _usb_disk(device, disks) for device, disks in found.items()}


def devices_by_socket(sys: Path) -> dict[str, str]:
    """Return the `plug_number` of each USB device that is there now, with disks or without, by socket.

    The device of a disk is there a second or more before the disk.
    """
    try:
        devices = list((sys / "bus/usb/devices").iterdir())
    except OSError:
        return {}
    numbers = {device.name: usb_number_at(device) for device in devices if ":" not in device.name}
    return {socket: number for socket, number in numbers.items() if number}


def connected_s(sys: Path, socket: str) -> float | None:
    """Return for how many seconds a USB device has been connected, or None if the kernel does not tell."""
    try:
        text = (sys / "bus/usb/devices" / socket / "power/connected_duration").read_text("ascii")
        return int(text) / 1000
    except (OSError, ValueError):
        return None


def _usb_disk(device: Path, disks: list[BlockDevice]) -> UsbDisk:
    vendor, product, serial = usb_names_at(device)
    sizes = {disk: disk.size_bytes for disk in disks}
    media = tuple(disk for disk, size_bytes in sizes.items() if size_bytes)
    size_bytes = sizes[media[0]] if media else 0
    plug_number = usb_number_at(device) or (media or tuple(disks))[0].key
    return UsbDisk(device.name, plug_number, StickNames(vendor, product, serial, size_bytes), media)


def is_usb_place(text: str) -> bool:
    """Return True if a text is the kernel's name of a USB port, such as `2-1.3`."""
    return _PLACE.fullmatch(text) is not None


def board_is_at(sys: Path, place: str, serial: str) -> bool:
    """Return True if a board of that serial number is plugged in at that USB port now.

    The port may come from another user's file, so only a regular file of a USB device is opened, without
    waiting.
    """
    if not is_usb_place(place):
        return False
    try:
        return _short_text(sys / "bus/usb/devices" / place / "serial") == serial
    except (OSError, ValueError):
        return False


def _short_text(file: Path) -> str:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _LONGEST_TEXT_BYTES).decode("utf-8").strip()
    finally:
        os.close(descriptor)
