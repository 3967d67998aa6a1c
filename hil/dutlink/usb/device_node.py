"""Find a board's device node, `bus/usb/BUS/DEVICE`, and its serial number in sysfs.

This needs no permission and no request to the board, since the kernel read the serial number when the board
was plugged in. A board that is plugged in again gets another node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.usb.protocol import UsbId

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.host import Host

__all__ = ["node_at", "serials_by_address", "usb_node"]

_VENDOR = f"{UsbId.VENDOR:04x}"


def usb_node(host: Host, serial: str) -> Path | None:
    """Return a board's device node, or None if the kernel lists no board of that serial number."""
    places = (place for place, listed in serials_by_address(host).items() if listed == serial)
    return next((node_at(host, *place) for place in places), None)


def node_at(host: Host, bus: int, number: int) -> Path:
    """Return the node of the device with that number on that bus."""
    return host.dev / "bus" / "usb" / f"{bus:03}" / f"{number:03}"


def serials_by_address(host: Host) -> dict[tuple[int, int], str]:
    """Return the serial numbers of this host's boards, by bus and device number, as the kernel lists them."""
    try:
        devices = list((host.sys / "bus" / "usb" / "devices").iterdir())
    except OSError:
        return {}
    found = {}
    for device in devices:
        if ":" in device.name or _text(device / "idVendor") != _VENDOR:
            continue  # 1-4:1.0 is an interface of device 1-4
        bus, number, serial = (_text(device / name) for name in ("busnum", "devnum", "serial"))
        if bus.isdecimal() and number.isdecimal() and serial:
            found[int(bus), int(number)] = serial
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # unplugged since it was listed
        return ""
