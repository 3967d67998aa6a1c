"""Boards and the hubs above them in sysfs, which needs no permission and no answer of a board.

Names are those of Linux' `/sys/bus/usb/devices` (Documentation/ABI/testing/sysfs-bus-usb).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.usb.protocol import UsbId

if TYPE_CHECKING:
    from pathlib import Path

    from hil.lab.doctor.host_info import HostInfo

__all__ = ["UsbTreeNode", "boards_in_sysfs", "children_of", "hub_of", "ttys_of"]

_DEVICES = "sys/bus/usb/devices"
_SELF_POWERED = 0x40


@dataclass(frozen=True, slots=True)
class UsbTreeNode:
    """A USB device.

    Attributes:
        name: The kernel's name, bus and ports: `1-4.2`; `usb1` is a root hub.
        vendor: Vendor id.
        product: Product id.
        serial: Serial number; empty if it has none.
        self_powered: Whether the device says that it has a supply of its own.
        most_ma: What it may draw from its port, in milliamperes.
        configured: Whether the kernel has switched it on; the kernel does not if the hub lacks the power.
        location: Bus and address, as `ProbeResult.location`.
    """

    name: str
    vendor: int
    product: int
    serial: str
    self_powered: bool
    most_ma: int
    configured: bool
    location: str

    @property
    def parent(self) -> str:
        """The name of the hub that the device is plugged into; empty for a root hub."""
        if "-" not in self.name:
            return ""
        above, _, _port = self.name.rpartition(".")
        return above or f"usb{self.name.partition('-')[0]}"


def boards_in_sysfs(host_info: HostInfo, only: str = "") -> list[UsbTreeNode]:
    """Return the boards and boot loaders on this machine's bus.

    Args:
        host_info: This machine.
        only: The serial number of the one board to return; empty for all boards.
    """
    ids = (UsbId.FIRMWARE, UsbId.BOOT_LOADER)
    boards = [node for node in _nodes(host_info) if node.vendor == UsbId.VENDOR and node.product in ids]
    return [node for node in boards if not only or node.serial == only]


def hub_of(host_info: HostInfo, node: UsbTreeNode) -> UsbTreeNode | None:
    """Return the hub that a device is plugged into."""
    return next((hub for hub in _nodes(host_info) if hub.name == node.parent), None)


def children_of(host_info: HostInfo, hub: UsbTreeNode) -> list[UsbTreeNode]:
    """Return the devices that are plugged into a hub."""
    return [node for node in _nodes(host_info) if node.parent == hub.name]


def ttys_of(host_info: HostInfo, node: UsbTreeNode) -> list[str]:
    """Return the names of a device's ttys, such as `ttyACM0`."""
    device = host_info.root / _DEVICES / node.name
    return sorted(path.name for path in device.glob(f"{node.name}:*/tty/*"))


def _nodes(host_info: HostInfo) -> list[UsbTreeNode]:
    paths = [path for path in host_info.folders(_DEVICES) if ":" not in path.name]
    return [node for path in paths if (node := _node(host_info, path)) is not None]


def _node(host_info: HostInfo, path: Path) -> UsbTreeNode | None:
    def word(name: str) -> str:
        return host_info.text(f"{_DEVICES}/{path.name}/{name}")

    try:
        return UsbTreeNode(
            name=path.name,
            vendor=int(word("idVendor"), 16),
            product=int(word("idProduct"), 16),
            serial=word("serial"),
            self_powered=bool(int(word("bmAttributes") or "0", 16) & _SELF_POWERED),
            most_ma=int(word("bMaxPower").removesuffix("mA") or "0"),
            configured=bool(word("bConfigurationValue")),
            location=f"bus {word('busnum')} address {word('devnum')}",
        )
    except ValueError:  # the device was unplugged while it was read
        return None
