"""The `/dev`-like folder of the simulated host: device nodes and udev's links to them."""

from __future__ import annotations

import os
import re
import string
from typing import TYPE_CHECKING

from hil.sim.host.sysfs import NotListed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.sim.host.sysfs import SysListing

__all__ = ["DevFolder", "DeviceNode", "UsbDeviceNode"]

_NODE_MODE = 0o664
"""Mode of a USB device node by udev's default rules: all users may read it."""


class DeviceNode:
    """A device node and its `by-id` link.

    Args:
        path: The node, such as `dev/ttyACM0` or `dev/sda`.
        by_id: The link that udev would make, such as `dev/serial/by-id/...`.
        claims: Existing nodes by the `by-id` link that they claim.
        by_path: The link by the port on the bus, such as `dev/disk/by-path/...`, or None.

    Attributes:
        listing: The disk in `/sys`. It appears before the node and vanishes with it.
    """

    def __init__(
        self,
        path: Path,
        by_id: Path,
        claims: dict[Path, list[DeviceNode]] | None = None,
        by_path: Path | None = None,
    ) -> None:
        self.path = path
        self.by_id = by_id
        self._by_path = by_path
        self.listing: SysListing = NotListed()
        self._claims = {} if claims is None else claims

    @property
    def present(self) -> bool:
        """Whether the node exists."""
        return os.path.lexists(self.path)

    def show_link(self, target: str) -> None:
        """Create the node as a link to a device of this machine, such as a pty."""
        self._replace(lambda path: path.symlink_to(target))

    def show_file(self, file: Path) -> None:
        """Create the node as a hard link to `file`, or a symbolic link if the file system has none."""
        self.listing.show(file)
        self._replace(lambda path: _link(file, path))

    def show_empty(self, size_bytes: int) -> None:
        """Replace the node by an empty file, as udev leaves a node for a moment after its disk is gone."""

        def make(path: Path) -> None:
            path.touch(mode=0o600)
            os.truncate(path, size_bytes)

        self.listing.hide()
        self._replace(make)

    def hide(self) -> None:
        """Remove the node; do nothing if it does not exist."""
        self.listing.hide()
        others = self._claims.get(self.by_id, [])
        if self in others:
            others.remove(self)
        if self._is_named_by_id:
            self.by_id.unlink(missing_ok=True)
            if others:  # as in udev, the link now leads to another node that claims it
                self.by_id.symlink_to(others[-1]._from_by_id)  # noqa: SLF001 - same class
        if self._by_path is not None:
            self._by_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _replace(self, make: Callable[[Path], None]) -> None:
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        make(fresh)
        fresh.replace(self.path)
        claims = self._claims.setdefault(self.by_id, [])
        if self not in claims:
            claims.append(self)
        if not self._is_named_by_id:
            self.by_id.unlink(missing_ok=True)
            self.by_id.symlink_to(self._from_by_id)
        if self._by_path is not None and not self._by_path.is_symlink():
            self._by_path.parent.mkdir(exist_ok=True)
            self._by_path.symlink_to(os.path.relpath(self.path, self._by_path.parent))

    @property
    def _is_named_by_id(self) -> bool:
        """Whether the link leads to this node. Of two nodes that claim a link, the later one has it."""
        try:
            return str(self.by_id.readlink()) == self._from_by_id
        except OSError:
            return False

    @property
    def _from_by_id(self) -> str:
        return os.path.relpath(self.path, self.by_id.parent)


def _link(file: Path, path: Path) -> None:
    """Link `path` to the inode of `file`, so that a resolved path of the node vanishes with the node."""
    try:
        path.hardlink_to(file)
    except OSError:
        path.symlink_to(file)


class UsbDeviceNode:
    """A board's node in `dev/bus/usb`, an empty file to open and lock; requests go over USB/IP.

    A board that is plugged in again gets another node.

    Args:
        dev: The `/dev`-like folder.
    """

    def __init__(self, dev: Path) -> None:
        self._folder = dev / "bus" / "usb"
        self._node: Path | None = None

    def show(self, bus: int, device: int) -> None:
        """Create the node of this bus and device number; do nothing if it exists."""
        node = self._folder / f"{bus:03}" / f"{device:03}"
        if node != self._node:
            self.hide()
            node.parent.mkdir(parents=True, exist_ok=True)
            node.touch(mode=_NODE_MODE)
            self._node = node

    def hide(self) -> None:
        """Remove the node; do nothing if it does not exist."""
        if self._node is not None:
            self._node.unlink(missing_ok=True)
            self._node = None


class DevFolder:
    """The `/dev`-like folder, empty at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._claims: dict[Path, list[DeviceNode]] = {}
        for folder in ("serial", "disk"):
            (root / folder / "by-id").mkdir(parents=True)

    def tty(self, index: int, serial: str) -> DeviceNode:
        """Return the node of a board's console, named as by Linux and udev."""
        return DeviceNode(self.root / f"ttyACM{index}", self.tty_name(serial), self._claims)

    def tty_name(self, serial: str) -> Path:
        """Return udev's link to the console of a board with this serial number."""
        plain = re.sub(r"[^A-Za-z0-9#+.:=@_-]", "_", serial)
        return self.root / "serial/by-id" / f"usb-Red_Hat_Inc._Dutlink_{plain}-if00"

    def disk(self, index: int, serial: str, socket: str) -> DeviceNode:
        """Return the node of a stick in a USB port such as `2-1.3`."""
        bus, _, port = socket.partition("-")
        by_path = self.root / "disk/by-path" / f"platform-simulated.{bus}-usb-0:{port}:1.0-scsi-0:0:0:0"
        return DeviceNode(self.root / f"sd{_letters(index)}", self.disk_name(serial), self._claims, by_path)

    def disk_name(self, serial: str, slot: int = 0) -> Path:
        """Return udev's link to a stick with this serial number, or to the slot of a card reader."""
        suffix = f"_{serial}" if serial else ""
        return self.root / "disk/by-id" / f"usb-HIL_Simulated_Stick{suffix}-0:{slot}"


def _letters(index: int) -> str:
    """Return the letters by which Linux counts disks: a to z, then aa."""
    letter = string.ascii_lowercase[index % 26]
    return letter if index < 26 else _letters(index // 26 - 1) + letter  # noqa: PLR2004 - the alphabet
