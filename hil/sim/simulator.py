"""The whole simulator in one event loop: boards, bus, USB/IP server, and its `/dev` and `/sys` folders."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.errors import SimulatorError
from hil.sim.clock import LoopClock
from hil.sim.dut.wire import Wire
from hil.sim.host.bus import UsbBus
from hil.sim.host.dev_nodes import DevFolder
from hil.sim.host.foreign_disk import ForeignDisks
from hil.sim.host.open_watch import OpenWatch
from hil.sim.host.sysfs import SysFolder
from hil.sim.management.fault_injection import FaultInjector
from hil.sim.management.trust import TOKEN_NAME
from hil.sim.slot import SimulatedSlot, SlotEnvironment
from hil.sim.usbip.server import UsbIpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LOOPBACK", "Folders", "ServedBoard", "Simulator", "SimulatorOptions", "open_folders"]

LOOPBACK = "127.0.0.1"

_DEV_NAME = "hil-dev"
_SYS_NAME = "hil-sys"
"""The `/dev` and `/sys` folders within a state folder. They are deleted at the end, so no other program may
use these names, even with `--state /`."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders of a simulator.

    Attributes:
        state: Settings and sticks.
        dev: Device nodes, as in `/dev`.
        sys: Facts about devices, as in `/sys`.
    """

    state: Path
    dev: Path
    sys: Path


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """Options of a simulator.

    Attributes:
        boards: Number of boards, 1 to 99.
        port: TCP port for USB/IP; 0 is any free one.
        speed: Simulated seconds per real second.
        state: Folder that keeps settings and sticks, or None for a temporary one.
        bind: Address for USB/IP.
        stick_bytes: Size of each stick.
    """

    boards: int = 1
    port: int = 0
    speed: float = 1.0
    state: Path | None = None
    bind: str = LOOPBACK
    stick_bytes: int = 64 << 20


@contextlib.contextmanager
def open_folders(state: Path | None) -> Iterator[Folders]:
    """Lock the state folder and yield all folders; remove temporary ones at the end.

    Raises:
        SimulatorError: Another simulator uses the state folder, it has files of other programs only, or it
            cannot be created or locked.
    """
    with contextlib.ExitStack() as stack:
        if state is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hil-sim-")))
            folders = Folders(root / "state", root / "dev", root / "sys")
        else:
            kept = state.absolute()
            folders = Folders(kept, kept / _DEV_NAME, kept / _SYS_NAME)
        _lock(folders.state, stack)
        for shown in (folders.dev, folders.sys):
            shutil.rmtree(shown, ignore_errors=True)  # left by a simulator that was killed
            stack.callback(shutil.rmtree, shown, ignore_errors=True)
        yield folders


def _lock(folder: Path, stack: contextlib.ExitStack) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / "lock").is_file():
            raise SimulatorError(
                f"the state folder {folder} cannot be used",
                why="it has files, and no simulator has used it before",
                remedy="another --state, a new or an empty folder",
            )
        lock = stack.enter_context((folder / "lock").open("w"))
    except OSError as error:
        raise SimulatorError(
            f"the state folder {folder} cannot be used",
            why=error.strerror or str(error),
            remedy="another --state, a folder that you may write to",
        ) from error
    _hold(lock.fileno(), folder)


def _hold(fd: int, folder: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SimulatorError(
            f"the state folder {folder} is in use",
            why="another simulator uses it",
            remedy="another --state, or end the other simulator",
        ) from error


@dataclass(frozen=True, slots=True)
class ServedBoard:
    """A slot with its board, and the faults injected into it."""

    slot: SimulatedSlot
    faults: FaultInjector

    def state(self) -> dict[str, Any]:
        """Return the board's true state and its faults as plain data."""
        return {**self.slot.state(), "faults": self.faults.active()}


class Simulator:
    """Simulated boards in the running event loop; they can be used between `begin` and `end`."""

    def __init__(self, options: SimulatorOptions, folders: Folders) -> None:
        self.ended = asyncio.Event()
        self.token = secrets.token_hex(16)
        self._options = options
        self._folders = folders
        loop = asyncio.get_running_loop()
        clock = LoopClock(loop, options.speed)
        self._bus = UsbBus(clock)
        self._server = UsbIpServer(self._bus)
        self._watch = OpenWatch(loop)
        environment = SlotEnvironment(
            bus=self._bus,
            clock=clock,
            loop=loop,
            watch=self._watch,
            dev=DevFolder(folders.dev),
            sys=SysFolder(folders.sys),
            state=folders.state,
            stick_bytes=options.stick_bytes,
            wire=Wire(),
        )
        self.foreign_disks = ForeignDisks(
            folders.state / "strangers", self._bus, environment.dev, environment.sys
        )
        slots = [
            SimulatedSlot(index, _serial(folders.state, index), environment)
            for index in range(options.boards)
        ]
        self.boards = {slot.serial: ServedBoard(slot, FaultInjector(slot)) for slot in slots}
        self._usbip_port = 0
        self._token_file = folders.state / TOKEN_NAME
        _write_token(self._token_file, self.token)

    async def begin(self) -> None:
        """Listen for USB/IP and plug the boards in; raise SimulatorError if the port cannot be used."""
        try:
            self._usbip_port = await self._server.listen(self._options.bind, self._options.port)
        except (OSError, OverflowError) as error:
            raise SimulatorError(
                f"cannot listen on {self._options.bind}, port {self._options.port}",
                why=getattr(error, "strerror", None) or str(error),
                remedy="another --port (0 is any free one), or an address of this machine with --bind",
            ) from error
        for board in self.boards.values():
            board.slot.plug()

    async def end(self) -> None:
        """Unplug the boards and stop listening; settings and sticks stay in the state folder."""
        await self._server.close()
        for board in self.boards.values():
            board.slot.close()
        self.foreign_disks.close()
        self._token_file.unlink(missing_ok=True)
        self._watch.close()

    def ready(self, control_port: int) -> dict[str, Any]:
        """Return the object of the ready line, which a client needs to use the simulator."""
        return {
            "pid": os.getpid(),
            "usbip_port": self._usbip_port,
            "control_port": control_port,
            "token": self.token,
            "bind": self._options.bind,
            "speed": self._options.speed,
            "dev": str(self._folders.dev),
            "sys": str(self._folders.sys),
            "state": str(self._folders.state),
            "boards": [
                {"serial": serial, "busid": one.slot.port.busid, "stick_busid": one.slot.stick_port.busid}
                for serial, one in self.boards.items()
            ],
        }


def _write_token(path: Path, token: str) -> None:
    """Write the token into a new file; first remove a file or link of that name.

    Raises:
        SimulatorError: The folder cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
    except OSError as error:
        raise SimulatorError(
            f"the token file {path} cannot be written",
            why=error.strerror or str(error),
            remedy="another --state, a folder that you may write to",
        ) from error


def _serial(state: Path, index: int) -> str:
    """Return eight hex digits, the same for a state folder and index at every start."""
    return hashlib.sha256(f"{state.resolve()} {index}".encode()).hexdigest()[:8]
