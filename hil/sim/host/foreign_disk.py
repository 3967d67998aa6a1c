"""USB disks that belong to no board: tests plug them in and pull them out, and no byte of them may change."""

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
"""Seconds until a disk that was plugged in has its node."""

_PATTERN = b"this is somebody's own disk; "
_FIRST_LETTER = 20
_NAME = re.compile(r"[0-9A-Za-z]{1,60}")
_SOCKET = re.compile(r"[0-9]{1,3}-[0-9]{1,3}(\.[0-9]{1,3}){0,6}")
_SERIAL = re.compile(r"[ -.0-~]{0,64}")
"""All of them become parts of paths."""

_MOST_DISKS = 100
_MOST_BYTES = 1 << 30


class ForeignDisk:
    """One disk, filled with a pattern.

    Args:
        index: Its number, from 0; its node is `sdu` and so on.
        file: The file with its bytes.
        size_bytes: Its size.
        bus: The bus that it is plugged into.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.

    Attributes:
        socket: Its USB socket when it was last plugged in.
        serial: Its serial number then.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a disk is plugged into
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
        """Plug the disk in; the host shows it a moment later.

        Raises:
            SimulatorError: Something is plugged in there, or it is plugged in already.
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
        """Pull the disk out; harmless when it is out."""
        self._timer.cancel()
        if self._port is not None:
            self._port.unplug()
        if self._node is not None:
            self._node.hide()
        self._port = self._node = None
        self._file.revoke_host_access()

    def state(self) -> dict[str, Any]:
        """Return the truth about the disk as plain data, with the number of bytes that were changed."""
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
        """Pull out and close, at the simulator's end."""
        self.unplug()
        self._file.close()

    def _show(self) -> None:
        if self._node is not None:
            self._node.show_file(self._file.path)


class ForeignDisks:
    """All disks of a simulator that belong to no board, by the names that tests give them.

    Args:
        folder: The folder with the files of their bytes.
        bus: The bus that they are plugged into.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.
    """

    def __init__(self, folder: Path, bus: UsbBus, dev: DevFolder, sys: SysFolder) -> None:
        self._folder = folder
        self._around = (bus, dev, sys)
        self._disks: dict[str, ForeignDisk] = {}

    def plug(self, name: str, socket: str, serial: str, size_bytes: int) -> None:
        """Plug in the disk of that name, which is made the first time.

        Raises:
            SimulatorError: Its name, size or serial number cannot be used, or it cannot be plugged in there.
        """
        if not _SOCKET.fullmatch(socket) or not _SERIAL.fullmatch(serial):
            raise SimulatorError(
                f"no disk can be plugged in at {socket!r:.60} with the serial number {serial!r:.60}",
                why="a socket is called like 2-100.1; a serial number has no slash, and 64 letters at most",
                remedy="choose another socket or serial number",
            )
        if name not in self._disks:
            is_size = 0 < size_bytes <= _MOST_BYTES and size_bytes % BLOCK_BYTES == 0
            if not is_size or not _NAME.fullmatch(name) or len(self._disks) == _MOST_DISKS:
                raise SimulatorError(
                    f"no disk can be called {name!r:.60} and have {size_bytes} bytes",
                    why=f"a name has letters and digits, a size is a multiple of {BLOCK_BYTES} bytes up to "
                    f"{_MOST_BYTES}; there are {_MOST_DISKS} disks at most",
                    remedy="choose another name or size",
                )
            self._folder.mkdir(exist_ok=True)
            file = self._folder / f"{name}.img"
            self._disks[name] = ForeignDisk(len(self._disks), file, size_bytes, *self._around)
        self._disks[name].plug(socket, serial)

    def unplug(self, name: str) -> None:
        """Pull the disk out; harmless when it is out."""
        if name in self._disks:
            self._disks[name].unplug()

    def states(self) -> dict[str, Any]:
        """Return the truth about each disk, by name."""
        return {name: disk.state() for name, disk in self._disks.items()}

    def close(self) -> None:
        """Pull out and close, at the simulator's end."""
        for disk in self._disks.values():
            disk.close()
