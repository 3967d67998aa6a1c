"""A DUTLink board as its firmware makes it behave, to be plugged into a simulated bus (firmware: main.rs)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from hil.sim.board.boot_loader import BootLoader
from hil.sim.board.descriptors import BOARD_PRODUCT_ID, VENDOR_ID, board_descriptors, version_bcd
from hil.sim.board.endpoints import ESHUTDOWN
from hil.sim.board.firmware_run import BoardEnvironment, FirmwareRun
from hil.sim.board.settings_flash import Field, SettingsFlash
from hil.sim.dut.power_draw import EnergyCounter
from hil.sim.interfaces import Clock, ControlPin, Dut, MuxPosition, PinLevel, Urb, UsbIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BootLoader", "SimulatedBoard"]

_INTERFACES: Final = ((2, 2, 0), (0x0A, 0, 0), (0xFE, 1, 1), (0xFF, 1, 1))
_FULL_SPEED: Final = 2


class SimulatedBoard:
    """A `UsbDevice` for the bus and the `BoardSide` of a DUT. It has power from the beginning.

    Args:
        serial: Eight lower-case hex digits.
        clock: Simulated time.
        flash: Its settings, which outlive its power.
        dut: The DUT that it carries; it is connected here.
        on_mux: Called when the stick's position changes.
        version: As `major.minor`.
        git_ref: What the firmware was built from.
        rng: Draws the meter's noise; by default the same for the same serial number.
    """

    def __init__(  # noqa: PLR0913  # everything that a board has around it
        self,
        serial: str,
        clock: Clock,
        flash: SettingsFlash,
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
        self._bench = BoardEnvironment(
            clock=clock,
            flash=flash,
            dut=dut,
            descriptors=board_descriptors(serial, version),
            version=f"{version} git-ref: {git_ref}",
            noise=rng or random.Random(serial),  # noqa: S311  # noise of a meter, no secret
            offset_seed=serial,
            on_mux=on_mux,
            on_detach=self._detach,
        )
        dut.connect(self)
        self._running: FirmwareRun | None = None
        self.power_up()

    @property
    def identity(self) -> UsbIdentity:
        """What a bus listing says about it."""
        return UsbIdentity(
            VENDOR_ID, BOARD_PRODUCT_ID, version_bcd(self._version), (0, 0, 0), _INTERFACES, _FULL_SPEED
        )

    @property
    def powered(self) -> bool:
        """Whether the firmware runs."""
        return self._running is not None

    @property
    def console_filter(self) -> Callable[[bytes], bytes] | None:
        """Changes console bytes on their way to the host, for faults; None lets them pass."""
        return self._console_filter

    @console_filter.setter
    def console_filter(self, change: Callable[[bytes], bytes] | None) -> None:
        self._console_filter = change
        if self._running is not None:
            self._running.to_host.filter = change

    def submit(self, urb: Urb) -> None:
        """Take a transfer; without power it ends at once with -108."""
        if self._running is None:
            urb.complete(ESHUTDOWN, b"")
        else:
            self._running.submit(urb)

    def cancel(self, urb: Urb) -> bool:
        """Forget a transfer that still waits; True when it did (it will not complete then)."""
        return self._running is not None and self._running.cancel(urb)

    def reset(self) -> None:
        """Take a USB bus reset: console buffers are emptied, console mode and everything else stay."""
        if self._running is not None:
            self._running.bus_reset()

    def power_loss(self) -> None:
        """Be unplugged: everything but the settings is lost, transfers that wait end with -108."""
        running, self._running = self._running, None
        if running is not None:
            for urb in running.stop():
                urb.complete(ESHUTDOWN, b"")

    def power_up(self) -> None:
        """Be plugged in; nothing happens to a board that has power."""
        if self._running is None:
            self._running = FirmwareRun(self._bench)
            self._running.to_host.filter = self._console_filter
            self._running.meter.set_input(self._amps, self._volts)

    def uart_from_dut(self, data: bytes) -> None:
        """Take bytes that leave the DUT's UART now."""
        if self._running is not None:
            self._running.uart_from_dut(data)

    def set_reported_serial(self, serial: str) -> None:
        """Tell another serial number than its own from the next start on, as with a foreign firmware."""
        self._bench.descriptors = board_descriptors(serial, self._version)

    def draw_changed(self, amps: float, volts: float) -> None:
        """Learn what the meter sees from now on."""
        self._amps, self._volts = amps, volts
        self._energy.change(amps, volts)
        if self._running is not None:
            self._running.meter.set_input(amps, volts)

    def state(self) -> dict[str, Any]:
        """The truth about it, as plain data; levels and position as they are, not as a snapshot has them."""
        flash = self._bench.flash
        settings = flash.current()
        return {
            "serial": self.serial,
            **self._running_state(),
            "settings": {field.label: settings.text(field).decode(errors="replace") for field in Field},
            "draw_amps": self._amps,
            "supply_volts": self._volts,
            "energy_joules": self._energy.joules,
            "flash": {"blocks_used": flash.blocks_used, "erases": flash.erases},
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
        """Leave for the boot loader: a reset of the processor, which lets go of everything."""
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
