"""A USB disk that belongs to no board: a hand plugs it in and pulls it out, and its bytes must stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.errors import SimulatorError
from hil.sim.ports import NoTimer, Timer
from hil.sim.stick_file import BLOCK_BYTES, StickFile
from hil.sim.stick_usb import StickUsb, names_of

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.bus import Bus, Port
    from hil.sim.nodes import DevFolder, Node
    from hil.sim.sysfs import SysFolder

__all__ = ["Stranger", "Strangers"]

NODE_AFTER_S = 0.4
"""How long a host takes until a disk that is plugged in has its node."""

_PATTERN = b"this is somebody's own disk; "
_FIRST_LETTER = 20


class Stranger:
    """One disk, full of a pattern.

    Args:
        index: Which, from 0; its node is `sdu` and so on.
        file: Where its bytes are.
        size_bytes: Its size.
        bus: Where it is plugged in.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a disk is plugged into
        self, index: int, file: Path, size_bytes: int, bus: Bus, dev: DevFolder, sys: SysFolder
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
        self._port: Port | None = None
        self._node: Node | None = None
        self._timer: Timer = NoTimer()

    def plug(self, socket: str, serial: str) -> None:
        """Plug it in; the host shows it a moment later.

        Raises:
            SimulatorError: Something is plugged in there, or it is plugged in already.
        """
        port = self._bus.port(socket) or self._bus.add_port(socket)
        if self._port is not None or port.device is not None:
            raise SimulatorError(
                f"nothing can be plugged in at {socket}", why="the socket, or the disk, is in use"
            )
        self.socket, self.serial, self._port = socket, serial, port
        self._node = self._dev.disk(_FIRST_LETTER + self._index, serial)
        self._node.listing = self._sys.disk(
            _FIRST_LETTER + self._index, self._node.path.name, socket, names_of(serial)
        )
        port.plug(StickUsb(serial, self._file))
        self._timer = self._bus.clock.call_later(NODE_AFTER_S, self._show)

    def unplug(self) -> None:
        """Pull it out; harmless when it is out."""
        self._timer.cancel()
        if self._port is not None:
            self._port.unplug()
        if self._node is not None:
            self._node.hide()
        self._port = self._node = None
        self._file.take_from_host()

    def state(self) -> dict[str, Any]:
        """The truth about it, as plain data: above all, whether anything was written to it."""
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
        """The simulator ends."""
        self.unplug()
        self._file.close()

    def _show(self) -> None:
        if self._node is not None:
            self._node.show_file(self._file.path)


class Strangers:
    """All strangers' disks of a simulator, by the names that tests give them.

    Args:
        folder: Where their bytes are.
        bus: Where they are plugged in.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.
    """

    def __init__(self, folder: Path, bus: Bus, dev: DevFolder, sys: SysFolder) -> None:
        self._folder = folder
        self._around = (bus, dev, sys)
        self._disks: dict[str, Stranger] = {}

    def plug(self, name: str, socket: str, serial: str, size_bytes: int) -> None:
        """Plug the disk of that name in; it is made, full of a pattern, the first time.

        Raises:
            SimulatorError: That cannot be.
        """
        if name not in self._disks:
            if not name.isalnum() or size_bytes <= 0 or size_bytes % BLOCK_BYTES:
                raise SimulatorError(f"no disk can be called {name!r} and have {size_bytes} bytes")
            self._folder.mkdir(exist_ok=True)
            file = self._folder / f"{name}.img"
            self._disks[name] = Stranger(len(self._disks), file, size_bytes, *self._around)
        self._disks[name].plug(socket, serial)

    def unplug(self, name: str) -> None:
        """Pull it out; harmless when it is out."""
        if name in self._disks:
            self._disks[name].unplug()

    def states(self) -> dict[str, Any]:
        """The truth about each."""
        return {name: disk.state() for name, disk in self._disks.items()}

    def close(self) -> None:
        """The simulator ends."""
        for disk in self._disks.values():
            disk.close()
