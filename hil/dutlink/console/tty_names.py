"""Udev's names of serial devices: by identity in `by-id`, or by place in `by-path`.

A name in `by-id` stays the same when a device is plugged in elsewhere. It is ambiguous if the device has no
serial
number, or the same one as another device: udev gives the name to the device that came last.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.dutlink.usb.protocol import UsbId
from hil.flash.disk.sysfs import usb_names_at

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["serial_devices", "uart_name"]

_BOARD_NAME = "usb-Red_Hat_Inc._Dutlink_"
_BOARD = (f"{UsbId.VENDOR:04x}", f"{UsbId.FIRMWARE:04x}")


def uart_name(serial: str) -> str:
    """Return udev's name of a board's own port in `by-id`."""
    return f"{_BOARD_NAME}{serial}-if00"


def serial_devices(dev: Path, sys: Path) -> dict[Path, bool]:
    """Return an unambiguous name of each serial device that udev names, and whether it is a board's own.

    Args:
        dev: The host's device folder.
        sys: The folder of the host's kernel for devices; a device that is not listed there keeps its first
            name in `by-id`.
    """
    by_node: dict[str, list[Path]] = {}
    for folder in ("by-id", "by-path"):
        for name in _entries(dev / "serial" / folder):
            by_node.setdefault(os.path.realpath(name), []).append(name)
    usb_names = {node: _usb_names(sys, os.path.basename(node)) for node in by_node}  # noqa: PTH119 - of a string
    found = {}
    for node, names in by_node.items():
        vendor, product, serial = usb_names[node][1]
        twins = {device for device, alike in usb_names.values() if device and alike == usb_names[node][1]}
        is_ambiguous = bool(vendor) and (not serial or len(twins) > 1)
        by_path = [name for name in names if name.parent.name == "by-path"]
        is_board = names[0].name.startswith(_BOARD_NAME) or (vendor, product) == _BOARD
        found[by_path[0] if is_ambiguous and by_path and not is_board else names[0]] = is_board
    return found


def _usb_names(sys: Path, tty: str) -> tuple[str, tuple[str, str, str]]:
    """Return a tty's USB device, and its vendor, product and serial number, or empty strings."""
    folder = (sys / "class" / "tty" / tty / "device").resolve()
    for device in (folder, *folder.parents):
        if (device / "idVendor").exists():
            return str(device), usb_names_at(device)
    return "", ("", "", "")


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []
