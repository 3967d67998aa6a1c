"""Vendor requests to the board's control interface (firmware: control.rs).

The firmware first accepts a request and executes it after the transfer. Reads return the snapshot that the
last refresh took.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.sim.board.endpoint_zero import Handshake, Recipient, Reply, RequestKind, SetupPacket
from hil.sim.board.meter import Meter, Reading
from hil.sim.board.settings_flash import Block, Field, SettingsFlash
from hil.sim.interfaces import ControlPin, MuxPosition, PinLevel

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.board.cpu import Task
    from hil.sim.board.power_pins import PowerPins

__all__ = ["BoardFunctions", "VendorRequests"]

_INTERFACE: Final = 3


class _VendorRequest(enum.IntEnum):
    """`bRequest`."""

    REFRESH = 0
    POWER = 1
    STORAGE = 2
    CONFIG = 3
    READ = 4
    SET = 5


class _Power(enum.IntEnum):
    """`wValue` of a power request."""

    OFF = 0
    ON = 1
    FORCE_OFF = 2
    FORCE_ON = 3
    RESCUE = 4


_POSITIONS: Final = (MuxPosition.OFF, MuxPosition.HOST, MuxPosition.DUT)
_FIELDS: Final = (
    Field.NAME,
    Field.TAGS,
    Field.USB_CONSOLE,
    Field.POWER_ON,
    Field.POWER_OFF,
    Field.POWER_RESCUE,
)
_PINS: Final = (ControlPin.RESET, ControlPin.A, ControlPin.B, ControlPin.C, ControlPin.D)
_LEVELS: Final = (PinLevel.LOW, PinLevel.HIGH, PinLevel.FLOATING)


@dataclass(frozen=True, slots=True)
class BoardFunctions:
    """Functions of the board that vendor requests and shell commands use.

    Attributes:
        pins: Supply and control pins.
        settings_flash: The settings.
        meter: The power meter.
        switch_storage: Function that moves the stick.
        version: Version text, as the board reports it: `0.09 git-ref: 1a2b3c4`.
    """

    pins: PowerPins
    settings_flash: SettingsFlash
    meter: Meter
    switch_storage: Callable[[MuxPosition], None]
    version: str

    def store(self, field: Field, value: bytes) -> None:
        """Write one setting into a fresh block of flash, even if it does not differ."""
        self.settings_flash.write(self.settings_flash.current().with_field(field, value))

    def power(self, action: str) -> Task:
        """Return the task for `on`, `off`, `force-on`, `force-off` or `rescue`."""
        settings = self.settings_flash.current()
        match action:
            case "on":
                return self.pins.power_on(settings.get(Field.POWER_ON))
            case "rescue":
                return self.pins.power_on(settings.get(Field.POWER_RESCUE))
            case "off":
                return self.pins.power_off(settings.get(Field.POWER_OFF))
            case "force-on":
                return self.pins.power_on(b"")
            case _:
                return self.pins.power_off(b"")


class VendorRequests:
    """A `UsbClass` for interface 3. It compares only the low byte of `wIndex`."""

    def __init__(self, functions: BoardFunctions) -> None:
        self._functions = functions
        self._snapshot = Reading()
        self._settings = Block()
        self._work: Callable[[], Task | None] | None = None

    def control_in(self, setup: SetupPacket) -> Reply:
        """Answer from the snapshot."""
        if not _is_mine(setup):
            return None
        if setup.request == _VendorRequest.CONFIG and setup.value < len(_FIELDS):
            return self._settings.get(_FIELDS[setup.value])
        if setup.request == _VendorRequest.READ:
            return self._read(setup.value)
        return Handshake.STALL

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:
        """Accept or refuse a request. An accepted one waits for `work`. Surplus data are ignored."""
        if not _is_mine(setup):
            return None
        work = self._work_for(setup, data)
        if work is None:
            return Handshake.STALL
        self._work = work
        return b""

    def reset(self) -> None:
        """Do nothing on a bus reset; the snapshot stays."""

    def work(self) -> Task:
        """Execute the accepted request, after its transfer has ended."""
        work, self._work = self._work, None
        task = work() if work is not None else None
        if task is not None:
            yield from task

    def _read(self, key: int) -> Reply:
        snapshot = self._snapshot
        match key:
            case 0:
                return self._functions.version.encode()
            case 1:
                return f"{snapshot.watts_text()} {snapshot.volts_text()} {snapshot.amps_text()}".encode()
            case 2:
                return snapshot.volts_text().encode()
            case 3:
                return snapshot.amps_text().encode()
        return Handshake.STALL

    def _work_for(self, setup: SetupPacket, data: bytes) -> Callable[[], Task | None] | None:
        functions, value = self._functions, setup.value
        match setup.request:
            case _VendorRequest.REFRESH:
                return self._refresh
            case _VendorRequest.POWER if value < len(_Power):
                return lambda: functions.power(_Power(value).name.lower().replace("_", "-"))
            case _VendorRequest.STORAGE if value < len(_POSITIONS):
                return lambda: functions.switch_storage(_POSITIONS[value])
            case _VendorRequest.CONFIG if value < len(_FIELDS):
                return lambda: functions.store(_FIELDS[value], data)
            case _VendorRequest.SET if value < len(_PINS) and data[:1] and data[0] < len(_LEVELS):
                return lambda: functions.pins.set(_PINS[value], _LEVELS[data[0]])
        return None

    def _refresh(self) -> None:
        self._snapshot = self._functions.meter.read()
        self._settings = self._functions.settings_flash.current()


def _is_mine(setup: SetupPacket) -> bool:
    return (
        setup.kind == RequestKind.VENDOR
        and setup.recipient == Recipient.INTERFACE
        and setup.index & 0xFF == _INTERFACE
    )
