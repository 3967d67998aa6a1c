"""USB disks by the socket that they are plugged into, and what is learned about a board's own.

A name proves nothing: two sticks may share a serial number, and a name leads elsewhere a moment later. A
stick is on one port of its board's mux, and that port is cabled to one USB socket of the host. The kernel
tells sockets apart (`2-1.3` is bus 2, port 1 of it, port 3 of the hub there), and gives a device another
number each time that it is plugged in (`devnum`).
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hil.flash.disk.sysfs import list_disks, usb_names_at, usb_number_at

if TYPE_CHECKING:
    from pathlib import Path

    from hil.flash.disk.sysfs import BlockDevice

__all__ = [
    "Learned",
    "OwnMemory",
    "StickMemory",
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
    """The names and the size of a stick, as the stick tells them.

    Attributes:
        vendor: USB vendor, four hexadecimal digits.
        product: USB product, likewise.
        serial: Its serial number; may be empty, and is not always its own.
        size_bytes: Its size.
    """

    vendor: str
    product: str
    serial: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UsbDisk:
    """A USB device with disks on it, as one look found it.

    Attributes:
        socket: The USB socket that it is plugged into.
        coming: A number that differs each time that a device is plugged in there.
        names: Its names, and the size of its medium.
        media: Its disks that have a medium; a card reader may have several.
    """

    socket: str
    coming: str
    names: StickNames
    media: tuple[BlockDevice, ...]

    @property
    def sighting(self) -> str:
        """What tells this disk from each other one, and from itself after it was plugged in again."""
        return " ".join((self.socket, self.coming, *(medium.key for medium in self.media)))

    @property
    def is_ready(self) -> bool:
        """Whether there is a medium that can be used."""
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
    """Return the number of each USB device that is there now, disk or not, by socket.

    A disk's device is there a second or more before the disk.
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
    coming = usb_number_at(device) or (media or tuple(disks))[0].key
    return UsbDisk(device.name, coming, StickNames(vendor, product, serial, size_bytes), media)


def is_usb_place(text: str) -> bool:
    """Return True if a text is a USB port as the kernel names it, such as `2-1.3`, and no path."""
    return _PLACE.fullmatch(text) is not None


def board_is_at(sys: Path, place: str, serial: str) -> bool:
    """Return True if a board of that serial number is plugged in at that USB port now.

    The place may be another user's word: only a plain file of a USB device is opened, and no open waits.
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


@dataclass(frozen=True, slots=True)
class Learned:
    """Where and how soon a board's stick came when it was proven.

    Attributes:
        board: The USB port of the board then: at another port, its cables may be others.
        socket: The stick's socket.
        names: The names of the stick there.
        came_after_s: How long after *host* it could be used, in seconds.
        bystanders: The other disks, as `UsbDisk.sighting`, that were there then while the storage was off.
        source: The file that says so, if it is another user's; empty: it may be believed.
    """

    board: str
    socket: str
    names: StickNames
    came_after_s: float
    bystanders: frozenset[str] = frozenset()
    source: str = field(default="", compare=False)


class StickMemory(Protocol):
    """Keeps what was learned about one board's stick."""

    def recall(self) -> Learned | None:
        """Return what was learned; None before that, and where it cannot be believed."""
        ...

    def keep(self, learned: Learned) -> None:
        """Keep it, if possible."""
        ...

    def forget(self) -> None:
        """Forget it: the cabling has changed."""
        ...

    def of_others(self) -> list[tuple[str, Learned]]:
        """Return what is known of other boards, and what other users say of this one, by serial number."""
        ...

    def doubt(self, image: str) -> None:
        """Note that the stick may boot an image that was written and is not proven; empty: it does not."""
        ...

    def doubted(self) -> str:
        """Return the image that the stick may boot unproven, by the word of whoever wrote it; empty: none."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes of this host can see what is kept here."""
        ...


class OwnMemory:
    """What one process learned, for itself alone: a `StickMemory` where there is no better one."""

    is_shared = False

    def __init__(self) -> None:
        self._learned: Learned | None = None
        self._doubted = ""

    def recall(self) -> Learned | None:
        """Return what was learned."""
        return self._learned

    def keep(self, learned: Learned) -> None:
        """Keep it."""
        self._learned = learned

    def forget(self) -> None:
        """Forget it."""
        self._learned = None

    def of_others(self) -> list[tuple[str, Learned]]:
        """Return nothing."""
        return []

    def doubt(self, image: str) -> None:
        """Note it."""
        self._doubted = image

    def doubted(self) -> str:
        """Return it."""
        return self._doubted
