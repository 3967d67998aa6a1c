"""A simulated DUTLink board: a USB device whose firmware runs while it has power (firmware: main.rs)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from hil.sim.board.descriptors import BOARD_PRODUCT_ID, VENDOR_ID, board_descriptors, version_bcd
from hil.sim.board.dfu import BootLoader
from hil.sim.board.endpoints import ESHUTDOWN
from hil.sim.board.firmware_run import BoardEnvironment, FirmwareRun
from hil.sim.board.settings_flash import Field, SettingsFlash
from hil.sim.dut.power_draw import EnergyCounter
from hil.sim.interfaces import Clock, ControlPin, Dut, MuxPosition, PinLevel, Urb
from hil.sim.usb_identity import UsbIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BootLoader", "SimulatedBoard"]

_INTERFACES: Final = ((2, 2, 0), (0x0A, 0, 0), (0xFE, 1, 1), (0xFF, 1, 1))
_FULL_SPEED: Final = 2


class SimulatedBoard:
    """A board, which is a `UsbDevice` to the bus and a `BoardSide` to its DUT. It starts with power.

    Args:
        serial: Serial number, eight lower-case hex digits.
        clock: Simulated time.
        settings_flash: Settings, which outlast its power.
        dut: The DUT on the board; it is connected here.
        on_mux: Called when the stick's position changes.
        version: Firmware version as `major.minor`.
        git_ref: Git reference of the firmware.
        rng: Source of the meter's noise; by default the same for the same serial number.

    Attributes:
        on_detach: Called when the firmware leaves for the boot loader.
    """

    def __init__(  # noqa: PLR0913  # the parts around a board
        self,
        serial: str,
        clock: Clock,
        settings_flash: SettingsFlash,
        dut: Dut,
        on_mux: Callable[[MuxPosition], None],
        *,
        version: str = "0.09",
        git_ref: str = "1a2b3c4",
        rng: random.Random | None = None,
    ) -> None:
        self.serial = serial
        self._version = version
        self._amps = self._volts = 0.0
        self._energy = EnergyCounter(clock)
        self._console_filter: Callable[[bytes], bytes] | None = None
        self.on_detach: Callable[[], None] | None = None
        self._environment = BoardEnvironment(
            clock=clock,
            settings_flash=settings_flash,
            dut=dut,
            descriptors=board_descriptors(serial, version),
            version=f"{version} git-ref: {git_ref}",
            noise=rng or random.Random(serial),  # noqa: S311  # noise of a meter is no secret
            offset_seed=serial,
            on_mux=on_mux,
            on_detach=self._detach,
        )
        dut.connect(self)
        self._running: FirmwareRun | None = None
        self.power_up()

    @property
    def identity(self) -> UsbIdentity:
        """The part of its descriptors that a bus listing shows."""
        return UsbIdentity(
            VENDOR_ID, BOARD_PRODUCT_ID, version_bcd(self._version), (0, 0, 0), _INTERFACES, _FULL_SPEED
        )

    @property
    def powered(self) -> bool:
        """Whether the board has power, so that its firmware runs."""
        return self._running is not None

    @property
    def console_filter(self) -> Callable[[bytes], bytes] | None:
        """Function that changes console bytes to the host, for faults; None for no change."""
        return self._console_filter

    @console_filter.setter
    def console_filter(self, change: Callable[[bytes], bytes] | None) -> None:
        self._console_filter = change
        if self._running is not None:
            self._running.to_host.filter = change

    def submit(self, urb: Urb) -> None:
        """Start a transfer; without power it completes at once with -108."""
        if self._running is None:
            urb.complete(ESHUTDOWN, b"")
        else:
            self._running.submit(urb)

    def cancel(self, urb: Urb) -> bool:
        """Cancel a transfer. Return True if it was waiting; then it never completes."""
        return self._running is not None and self._running.cancel(urb)

    def reset(self) -> None:
        """Handle a USB bus reset: it empties the console buffers; all else stays, also console mode."""
        if self._running is not None:
            self._running.bus_reset()

    def power_loss(self) -> None:
        """Lose power: all state except the settings is lost, and waiting transfers complete with -108."""
        running, self._running = self._running, None
        if running is not None:
            for urb in running.stop():
                urb.complete(ESHUTDOWN, b"")

    def power_up(self) -> None:
        """Start the firmware; do nothing if the board has power."""
        if self._running is None:
            self._running = FirmwareRun(self._environment)
            self._running.to_host.filter = self._console_filter
            self._running.meter.set_input(self._amps, self._volts)

    def uart_from_dut(self, data: bytes) -> None:
        """Receive bytes from the DUT's UART."""
        if self._running is not None:
            self._running.uart_from_dut(data)

    def set_reported_serial(self, serial: str) -> None:
        """Report another serial number from the next start on, as a foreign firmware could."""
        self._environment.descriptors = board_descriptors(serial, self._version)

    def draw_changed(self, amps: float, volts: float) -> None:
        """Take the current and voltage that the meter measures from now on."""
        self._amps, self._volts = amps, volts
        self._energy.change(amps, volts)
        if self._running is not None:
            self._running.meter.set_input(amps, volts)

    def state(self) -> dict[str, Any]:
        """Return the board's true state as plain data; levels and position are current, no snapshot."""
        memory = self._environment.settings_flash
        settings = memory.current()
        return {
            "serial": self.serial,
            **self._running_state(),
            "settings": {field.label: settings.text(field).decode(errors="replace") for field in Field},
            "draw_amps": self._amps,
            "supply_volts": self._volts,
            "energy_joules": self._energy.joules,
            "flash": {"blocks_used": memory.blocks_used, "erases": memory.erases},
        }

    def _running_state(self) -> dict[str, Any]:
        running = self._running
        if running is None:
            floating = {pin.value: PinLevel.FLOATING.value for pin in ControlPin}
            return _state_of(False, floating, floating, MuxPosition.OFF) | {"busy_s": 0.0, "blocked": False}
        status = running.status
        driven = {pin.value: level.value for pin, level in running.pins.driven.items()}
        remembered = {pin.value: level.value for pin, level in running.pins.remembered.items()}
        return _state_of(running.pins.supply, driven, remembered, running.position) | {
            "console_mode": status.console_mode,
            "monitor": status.monitor,
            "meter": status.meter,
            "usb_stopped": running.usb_stopped,
            "busy_s": running.cpu.busy_s,
            "blocked": running.cpu.blocked,
        }

    def _detach(self) -> None:
        """Leave for the boot loader. The processor resets, so the board loses all state as without power."""
        self.power_loss()
        if self.on_detach is not None:
            self.on_detach()


def _state_of(
    supply: bool, driven: dict[str, str], remembered: dict[str, str], position: MuxPosition
) -> dict[str, Any]:
    return {
        "supply": supply,
        "pins": driven,
        "pins_set": remembered,
        "mux": position.value,
        "console_mode": True,
        "monitor": False,
        "meter": False,
        "usb_stopped": False,
    }
