"""Foreign disks: USB disks that are no board's stick. Tests plug them in and check that no byte changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hil.errors import SimulatorError
from hil.sim.interfaces import NoTimer, Timer
from hil.sim.stick.file import BLOCK_BYTES, StickFile
from hil.sim.stick.usb_disk import UsbStick, usb_names_of

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.host.bus import UsbBus, UsbPort
    from hil.sim.host.dev_nodes import DevFolder, DeviceNode
    from hil.sim.host.sysfs import SysFolder

__all__ = ["ForeignDisk", "ForeignDisks"]

NODE_AFTER_S = 0.4
"""Seconds from plugging a disk in to its node."""

_PATTERN = b"this is somebody's own disk; "
_FIRST_LETTER = 20
_NAME = re.compile(r"[0-9A-Za-z]{1,60}")
_SOCKET = re.compile(r"[0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")
_SERIAL = re.compile(r"[ -.0-~]{0,64}")
"""Names, sockets and serial numbers become parts of paths, so they are restricted."""

_MOST_DISKS = 100
_MOST_BYTES = 1 << 30


class ForeignDisk:
    """A disk filled with a pattern.

    Args:
        index: Its number, from 0; the nodes are `sdu` and following.
        file: The file with its bytes.
        size_bytes: Its size.
        bus: The bus for it.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.

    Attributes:
        socket: Its USB port when it was last plugged in.
        serial: Its serial number at that time.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts around a disk
        self, index: int, file: Path, size_bytes: int, bus: UsbBus, dev: DevFolder, sys: SysFolder
    ) -> None:
        self.socket = ""
        self.serial = ""
        self._index = index
        self._bus = bus
        self._dev = dev
        self._sys = sys
        self._content = (_PATTERN * (size_bytes // len(_PATTERN) + 1))[:size_bytes]
        file.write_bytes(self._content)
        self._file = StickFile(file, size_bytes)
        self._port: UsbPort | None = None
        self._node: DeviceNode | None = None
        self._timer: Timer = NoTimer()

    def plug(self, socket: str, serial: str) -> None:
        """Plug the disk in; its node appears after `NODE_AFTER_S`.

        Raises:
            SimulatorError: The socket is taken, or the disk is plugged in already.
        """
        port = self._bus.port(socket) or self._bus.add_port(socket)
        if self._port is not None or port.device is not None:
            raise SimulatorError(
                f"nothing can be plugged in at {socket}",
                why="the socket is taken, or the disk is plugged in already",
                remedy="unplug_disk first, or name another socket",
            )
        self.socket, self.serial, self._port = socket, serial, port
        self._node = self._dev.disk(_FIRST_LETTER + self._index, serial, socket)
        listing = self._sys.disk(
            _FIRST_LETTER + self._index, self._node.path.name, socket, usb_names_of(serial)
        )
        listing.plug()
        self._node.listing = listing
        port.plug(UsbStick(serial, self._file))
        self._timer = self._bus.clock.call_later(NODE_AFTER_S, self._show)

    def unplug(self) -> None:
        """Unplug the disk; do nothing if it is unplugged."""
        self._timer.cancel()
        if self._port is not None:
            self._port.unplug()
        if self._node is not None:
            self._node.hide()
        self._port = self._node = None
        self._file.revoke_host_access()

    def state(self) -> dict[str, Any]:
        """Return the disk's true state as plain data, with the number of changed bytes."""
        now = self._file.read(0, self._file.size_bytes)
        blocks = range(0, self._file.size_bytes if now != self._content else 0, BLOCK_BYTES)
        changed = [at for at in blocks if now[at : at + BLOCK_BYTES] != self._content[at : at + BLOCK_BYTES]]
        return {
            "path": str(self._file.path),
            "socket": self.socket if self._port is not None else "",
            "serial": self.serial,
            "size_bytes": self._file.size_bytes,
            "node": str(self._node.path) if self._node is not None else "",
            "changed_bytes": len(changed) * BLOCK_BYTES,
        }

    def close(self) -> None:
        """Unplug the disk and close its file."""
        self.unplug()
        self._file.close()

    def _show(self) -> None:
        if self._node is not None:
            self._node.show_file(self._file.path)


class ForeignDisks:
    """All foreign disks of a simulator, by the names that tests give them.

    Args:
        folder: The folder for the files with their bytes.
        bus: The bus for them.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.
    """

    def __init__(self, folder: Path, bus: UsbBus, dev: DevFolder, sys: SysFolder) -> None:
        self._folder = folder
        self._environment = (bus, dev, sys)
        self._disks: dict[str, ForeignDisk] = {}

    def plug(self, name: str, socket: str, serial: str, size_bytes: int) -> None:
        """Plug in the disk of this name; create it the first time.

        Raises:
            SimulatorError: A value is not allowed, or the disk cannot be plugged in there.
        """
        if not _SOCKET.fullmatch(socket) or not _SERIAL.fullmatch(serial):
            raise SimulatorError(
                f"no disk can be plugged in at {socket!r:.60} with the serial number {serial!r:.60}",
                why="a socket is named like 2-100.1; a serial number has at most 64 characters and no slash",
                remedy="choose another socket or serial number",
            )
        if name not in self._disks:
            is_size = 0 < size_bytes <= _MOST_BYTES and size_bytes % BLOCK_BYTES == 0
            if not is_size or not _NAME.fullmatch(name) or len(self._disks) == _MOST_DISKS:
                raise SimulatorError(
                    f"no disk can be made with the name {name!r:.60} and {size_bytes} bytes",
                    why=f"a name has letters and digits; a size is a multiple of {BLOCK_BYTES} bytes up to "
                    f"{_MOST_BYTES}; there are {_MOST_DISKS} disks at most",
                    remedy="choose another name or size",
                )
            self._folder.mkdir(exist_ok=True)
            file = self._folder / f"{name}.img"
            self._disks[name] = ForeignDisk(len(self._disks), file, size_bytes, *self._environment)
        self._disks[name].plug(socket, serial)

    def unplug(self, name: str) -> None:
        """Unplug the disk of this name; do nothing if it is unplugged."""
        if name in self._disks:
            self._disks[name].unplug()

    def states(self) -> dict[str, Any]:
        """Return the true state of each disk by name."""
        return {name: disk.state() for name, disk in self._disks.items()}

    def close(self) -> None:
        """Unplug all disks and close their files."""
        for disk in self._disks.values():
            disk.close()
