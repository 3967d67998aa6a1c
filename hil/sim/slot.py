"""One slot of the simulator: a board with its stick, DUT, tty and faults."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hil.sim.board.board import BootLoader, SimulatedBoard
from hil.sim.board.descriptors import BOARD_PRODUCT_ID
from hil.sim.board.settings_flash import SettingsFlash
from hil.sim.dut.dut import SimulatedDut
from hil.sim.host.dev_nodes import UsbDeviceNode
from hil.sim.host.faulty_path import ConsoleNoise, FaultyPath, PathFaults, RequestLog
from hil.sim.host.tty import SimulatedTty
from hil.sim.interfaces import MuxPosition
from hil.sim.stick.file import StickFile
from hil.sim.stick.mux import Stick
from hil.sim.stick.usb_disk import usb_names_of

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from hil.sim.dut.wire import Wire
    from hil.sim.host.bus import UsbBus
    from hil.sim.host.dev_nodes import DevFolder, DeviceNode
    from hil.sim.host.open_watch import OpenWatch
    from hil.sim.host.sysfs import SysFolder
    from hil.sim.interfaces import Clock, UsbDevice

__all__ = ["SimulatedSlot", "SlotEnvironment"]


@dataclass(frozen=True, slots=True)
class SlotEnvironment:
    """Parts of the simulator that all slots share.

    Attributes:
        bus: Bus for boards and sticks.
        clock: Simulated time.
        loop: The simulator's event loop.
        watch: Reports when a tty is opened.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.
        state: Folder that keeps settings and sticks.
        stick_bytes: Size of each stick.
        wire: Connects the DUTs.
    """

    bus: UsbBus
    clock: Clock
    loop: asyncio.AbstractEventLoop
    watch: OpenWatch
    dev: DevFolder
    sys: SysFolder
    state: Path
    stick_bytes: int
    wire: Wire


class SimulatedSlot:
    """A board at bus id `1-N` and its stick at `2-N`, where N is `index` + 1."""

    def __init__(self, index: int, serial: str, environment: SlotEnvironment) -> None:
        self.serial = serial
        self.bus = environment.bus
        self.clock = environment.clock
        self.port = environment.bus.add_port(f"1-{index + 1}")
        self.stick_port = environment.bus.add_port(f"2-{index + 1}")
        self.path_faults = PathFaults()
        self.noise = ConsoleNoise()
        self.log = RequestLog(environment.clock)
        self.in_boot_loader = False
        self._path: FaultyPath | None = None
        self._dev = environment.dev
        self._listing = environment.sys.board(self.port.busid, serial)
        self.port.listeners.append(self._list_board)
        self._node = UsbDeviceNode(environment.dev.root)
        self._tty_node = environment.dev.tty(index, serial)
        self.tty = SimulatedTty(self.port, self._tty_node, environment.watch, environment.loop)
        self.dut = SimulatedDut(environment.clock, wire=environment.wire.plug_in())
        self.stick = self._make_stick(index, environment)
        self.board = self._make_board(environment)

    @property
    def plugged(self) -> bool:
        """Whether the board or its boot loader is on the bus."""
        return self.port.device is not None

    @property
    def usb_stopped(self) -> bool:
        """Whether a control write over 256 bytes has stopped the board's USB; plugging it in again helps."""
        return bool(self.board.state()["usb_stopped"])

    def plug(self) -> None:
        """Plug the board in again; its firmware starts."""
        self.unplug()
        self.board.power_up()
        self._plug(self.board)

    def unplug(self) -> None:
        """Unplug the board, which takes its power."""
        if self.port.device is not None:
            self.port.unplug()
            if not self.in_boot_loader:
                self.board.power_loss()
                self.stick.move(MuxPosition.OFF)
        self.in_boot_loader = False

    def set_reported_serial(self, serial: str) -> None:
        """Plug the board in again with another serial number in its descriptors; if empty, with its own."""
        self.unplug()
        reported = serial or self.serial
        self.board.set_reported_serial(reported)
        self._listing.serial = reported
        self._tty_node.by_id = self._dev.tty_name(reported)
        self.plug()

    def change_stick(self, serial: str | None, empty_slots: int) -> None:
        """Replace the stick by another model with the same bytes.

        Args:
            serial: Its serial number; empty for none; None for that of the original stick.
            empty_slots: Number of slots without a card, as in a card reader.
        """
        reported = self._stick_serial if serial is None else serial

        def rename() -> None:
            self._stick_node.by_id = self._dev.disk_name(reported, empty_slots)
            self._stick_listing.change_model(usb_names_of(reported), empty_slots)

        self.stick.change_model(reported, empty_slots, rename)

    def enter_boot_loader(self, product_id: int = BOARD_PRODUCT_ID) -> None:
        """Restart the board as its DFU boot loader."""
        self.unplug()
        self.in_boot_loader = True
        self._plug(BootLoader(self.serial, product_id=product_id))

    def resume(self) -> None:
        """Continue after the fault `hang`."""
        if self._path is not None:
            self._path.resume()

    def state(self) -> dict[str, Any]:
        """Return the true state of the board, its DUT and its stick as plain data."""
        return {
            **self.board.state(),
            "serial": self.serial,
            "busid": self.port.busid,
            "plugged": self.plugged,
            "boot_loader": self.in_boot_loader,
            "dut": self.dut.state(),
            "stick": self.stick.state(),
        }

    def close(self) -> None:
        """Unplug and close all parts; settings and the stick's bytes stay."""
        self.unplug()
        self.tty.close()
        self.stick.close()

    def _list_board(self) -> None:
        """Show the board in `/sys` and `/dev` while the simulated host has it; otherwise hide it."""
        record = self.port.record if self.port.claims is not None else None
        if record is None:
            self._listing.hide()
            self._node.hide()
            return
        self._node.show(record.busnum, record.devnum)
        self._listing.show(
            {
                "idVendor": f"{record.identity.vendor_id:04x}",
                "idProduct": f"{record.identity.product_id:04x}",
                "busnum": str(record.busnum),
                "devnum": str(record.devnum),
            }
        )

    def _enter_boot_loader_soon(self) -> None:
        # later: the transfer that requests the detach must complete first
        self.clock.call_later(0, self.enter_boot_loader)

    def _plug(self, device: UsbDevice) -> None:
        self._path = FaultyPath(device, self.clock, self.path_faults, self.log)
        self.port.plug(self._path)

    def _make_stick(self, index: int, environment: SlotEnvironment) -> Stick:
        folder = environment.state / "sticks"
        folder.mkdir(exist_ok=True)
        serial = hashlib.sha256(f"stick of {self.serial}".encode()).hexdigest()[:12].upper()
        self._stick_serial = serial
        return Stick(
            serial,
            StickFile(folder / f"{self.serial}.img", environment.stick_bytes),
            port=self.stick_port,
            node=self._make_node(index, serial, environment),
            clock=environment.clock,
            rng=random.Random(serial),  # noqa: S311 - delays, no secrets
            give_dut=self.dut.stick,
        )

    def _make_node(self, index: int, serial: str, environment: SlotEnvironment) -> DeviceNode:
        node = environment.dev.disk(index, serial, self.stick_port.busid)
        listing = environment.sys.disk(index, node.path.name, self.stick_port.busid, usb_names_of(serial))
        node.listing = listing
        self._stick_node, self._stick_listing = node, listing
        return node

    def _make_board(self, environment: SlotEnvironment) -> SimulatedBoard:
        folder = environment.state / "settings"
        folder.mkdir(exist_ok=True)
        board = SimulatedBoard(
            self.serial,
            environment.clock,
            SettingsFlash(folder / f"{self.serial}.bin"),
            self.dut,
            self.stick.move,
            rng=random.Random(self.serial),  # noqa: S311 - noise, no secrets
        )
        board.console_filter = self.noise
        board.on_detach = self._enter_boot_loader_soon
        return board
