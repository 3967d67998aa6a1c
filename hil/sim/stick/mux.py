"""The stick and its mux: when the stick appears on the host and on the DUT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.sim.interfaces import BlockStore, Clock, MuxPosition, NoTimer, Timer
from hil.sim.stick.faulty_store import FaultyStore, HostWrites, StickFaults
from hil.sim.stick.usb_disk import UsbStick

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from hil.sim.host.bus import UsbPort
    from hil.sim.host.dev_nodes import DeviceNode
    from hil.sim.stick.file import StickFile

__all__ = ["Stick"]

ON_BUS_AFTER_S = 1.0
NODE_AFTER_S = (3.4, 3.7)
NODE_GONE_AFTER_S = (0.1, 0.5)
"""Measured on Linux with a real stick: its node appears long after the mux moved, and vanishes a little
late."""

_WRITE_CHECK_S = 0.05
"""Interval of the checks whether host processes have written the bytes after which the stick is pulled
out."""


class Stick:
    """One board's stick.

    Args:
        serial: Its serial number.
        file: Its bytes.
        port: Its port on the bus.
        node: Its device node on the simulated host.
        clock: Simulated time.
        rng: Source of the time that the host takes.
        give_dut: Called with the bytes when the DUT gets the stick, with None when the DUT loses it.

    Attributes:
        position: Position of the mux.
        faults: Active faults.
        late_s: Extra seconds until the host sees the stick, as with a slow mux.
    """

    def __init__(  # noqa: PLR0913 - the parts around a stick, by name
        self,
        serial: str,
        file: StickFile,
        *,
        port: UsbPort,
        node: DeviceNode,
        clock: Clock,
        rng: random.Random,
        give_dut: Callable[[BlockStore | None], None],
    ) -> None:
        self.position = MuxPosition.OFF
        self.faults = StickFaults()
        self.late_s = 0.0
        self.serial = serial
        self._file = file
        self._port = port
        self._node = node
        self._clock = clock
        self._rng = rng
        self._give_dut = give_dut
        self._connected = MuxPosition.OFF
        self._writes = HostWrites(file, self.faults)
        self._store = FaultyStore(file, self.faults)
        self._usb = UsbStick(serial, self._store)
        self._node_due = False
        self._plug_timer: Timer = NoTimer()
        self._node_timer: Timer = NoTimer()
        self._write_check_timer: Timer = NoTimer()
        self.faults.on_removed = self._pull_out_soon
        port.listeners.append(self._show_or_hide)

    def move(self, position: MuxPosition) -> None:
        """Move the mux. The DUT notices at once, the host after some seconds."""
        self.position = position
        self._connect()

    def change_model(self, serial: str, empty_slots: int, rename: Callable[[], None]) -> None:
        """Become another model of stick.

        Args:
            serial: Its serial number; empty for none.
            empty_slots: Number of slots without a card before its own.
            rename: Called while the host does not have the stick, to change its names on the host.
        """
        if self._connected is MuxPosition.HOST:
            self._leave_host()
            self._connected = MuxPosition.OFF
        self._node_timer.cancel()
        self._node.hide()
        self.serial = serial
        self._usb = UsbStick(serial, self._store, empty_slots)
        rename()
        self._connect()

    def apply_faults(self) -> None:
        """Apply faults that began or ended: the stick may leave host or DUT, or come back."""
        self._connect()
        if self._node_due and self._port.has_driver(0):
            self._watch_writes()

    def close(self) -> None:
        """Remove the stick from the host and close its file; the bytes stay."""
        self._leave_host()
        self._node_timer.cancel()
        self._node.hide()
        self._file.close()

    def state(self) -> dict[str, Any]:
        """Return the stick's true state as plain data."""
        return {
            "serial": self.serial,
            "path": str(self._file.path),
            "size_bytes": self._file.size_bytes,
            "position": self.position.value,
            "removed": self.faults.removed,
            "on_bus": self._port.device is not None,
            "node": str(self._node.path),
            "node_present": self._node.present,
        }

    def _connect(self) -> None:
        """Disconnect the stick from host or DUT, and connect it to the other, as mux and faults demand."""
        before = self._connected
        if before is self._target():
            return
        if before is MuxPosition.HOST:
            self._leave_host()
        if before is MuxPosition.DUT:
            self._give_dut(None)
        self._connected = self._target()  # again: leaving the host may have shown that it is pulled out
        if self._connected is MuxPosition.HOST:
            self._enter_host()
        if self._connected is MuxPosition.DUT:
            self._give_dut(self._store)

    def _target(self) -> MuxPosition:
        """Return the position of the mux, or OFF if a fault removes the stick."""
        absent = self.faults.removed or (self.faults.missing and self.position is MuxPosition.HOST)
        return MuxPosition.OFF if absent else self.position

    def _pull_out_soon(self) -> None:
        # later: the transfer that wrote the last byte must complete first
        self._clock.call_later(0, self._connect)

    def _enter_host(self) -> None:
        self._node_timer.cancel()
        self._node.hide()
        self._plug_timer = self._clock.call_later(ON_BUS_AFTER_S + self.late_s, self._port.plug, self._usb)
        self._node_timer = self._clock.call_later(
            self._rng.uniform(*NODE_AFTER_S) + self.late_s, self._make_node_due
        )

    def _leave_host(self) -> None:
        self._plug_timer.cancel()
        self._node_timer.cancel()
        self._node_due = False
        if self._node.present:
            self._node.show_empty(self._file.size_bytes)
            gone_after_s = self._rng.uniform(*NODE_GONE_AFTER_S)
            self._node_timer = self._clock.call_later(gone_after_s, self._node.hide)
        if self._port.device is not None:
            self._port.unplug()
        self._file.revoke_host_access()
        self._stop_watching_writes()

    def _make_node_due(self) -> None:
        self._node_due = True
        self._show_or_hide()

    def _show_or_hide(self) -> None:
        """Show the node while the host drives the stick, and hide it while it does not.

        A stock client may have the stick, or its kernel driver may be detached.
        """
        if not self._node_due:
            return
        if self._port.has_driver(0):
            self._watch_writes()
            self._node.show_file(self._file.path)
        else:
            self._node.hide()
            self._stop_watching_writes()

    def _watch_writes(self) -> None:
        self._writes.begin()
        self._write_check_timer.cancel()
        if self._writes.reached_removal():
            self._leave_host()
            self._connected = self._target()
        elif self.faults.remove_after is not None:
            self._write_check_timer = self._clock.call_later(_WRITE_CHECK_S, self._watch_writes)

    def _stop_watching_writes(self) -> None:
        self._write_check_timer.cancel()
        self._writes.end()
