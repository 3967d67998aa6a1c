"""A board's own node in the device folder: `bus/usb/BUS/DEVICE`, as the kernel numbers it (usbfs).

The node is found in sysfs, without permission and without a request to the board. A board that is plugged in
again gets another node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.requests import UsbId

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.host import Host

__all__ = ["usb_node"]

_VENDOR = f"{UsbId.VENDOR:04x}"


def usb_node(host: Host, serial: str) -> Path | None:
    """Return a board's device node, or None if this host's kernel lists no board of that serial number."""
    try:
        devices = list((host.sys / "bus" / "usb" / "devices").iterdir())
    except OSError:
        return None
    for device in devices:
        if ":" in device.name or _text(device / "idVendor") != _VENDOR or _text(device / "serial") != serial:
            continue  # "1-4:1.0" is an interface
        bus, number = _text(device / "busnum"), _text(device / "devnum")
        if bus.isdecimal() and number.isdecimal():
            return host.dev / "bus" / "usb" / f"{int(bus):03}" / f"{int(number):03}"
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # unplugged since it was listed
        return ""
