"""The simulated DUT: it draws power, boots the stick's image, uses its UART, and reacts to its pins.

Wiring of its pins: RESET low holds it in reset. A low, when reset ends or the supply comes, starts rescue
mode. B low presses the power button. C and D are not connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hil.sim.dut.boot_rom import ROM_VERSION, BootPrompt, RescuePrompt
from hil.sim.dut.image import read_image
from hil.sim.dut.power_draw import DutPhase, PowerDraw
from hil.sim.dut.script import Script, Steps
from hil.sim.dut.system import System
from hil.sim.dut.uart import DutTransmitter
from hil.sim.dut.wire import WireEnd
from hil.sim.interfaces import BlockStore, BoardSide, Clock, ControlPin, NoTimer, PinLevel, Timer

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

__all__ = ["FAULTS", "LONG_PRESS_S", "PRESS_S", "PowerButton", "SimulatedDut"]

PRESS_S: Final = 0.2
"""Shortest press; a shorter one is contact bounce."""

LONG_PRESS_S: Final = 4.0


class PowerButton:
    """Distinguishes a press from a long press by time. Each is reported while the button is still down.

    Args:
        clock: Simulated time.
        pressed: Called after `PRESS_S`.
        pressed_long: Called after `LONG_PRESS_S` if the button is still down.
    """

    def __init__(self, clock: Clock, pressed: Callable[[], None], pressed_long: Callable[[], None]) -> None:
        self._clock = clock
        self._pressed = pressed
        self._pressed_long = pressed_long
        self._timers: tuple[Timer, ...] = (NoTimer(),)

    def press(self) -> None:
        """Press the button. If it is down already, the time starts again."""
        self.release()
        self._timers = (
            self._clock.call_later(PRESS_S, self._pressed),
            self._clock.call_later(LONG_PRESS_S, self._pressed_long),
        )

    def release(self) -> None:
        """Release the button."""
        for timer in self._timers:
            timer.cancel()


FAULTS: Final = ("hang_in_boot", "sag", "stays_on")
"""Names for `SimulatedDut.fault`. Each fault ends with `{"on": False}`."""

_ROM_S = 0.1
_NOT_LISTENING = (DutPhase.OFF, DutPhase.STANDBY, DutPhase.RESET)


class SimulatedDut:
    """A `Dut`: hardware with a boot ROM, which boots the stick's image.

    A short press of the button has an effect in standby and in a system that is up. During the boot it has
    none, so a power-on sequence may press the button after the supply has come. A long press always leads to
    standby. RESET also works in standby: its release boots.

    Args:
        clock: Simulated time.
        rng: Source of small differences in boot time, or None for none.
        wire: End of a wire to other DUTs; None: it leads nowhere.

    Attributes:
        wire: The argument.
    """

    def __init__(self, clock: Clock, rng: Random | None = None, wire: WireEnd | None = None) -> None:
        self.hangs_in_boot = False
        self.wire = wire or WireEnd()
        self._stays_on = False
        self._switched_on = False
        self._clock = clock
        self._rng = rng
        self._board: BoardSide | None = None
        self._uart = DutTransmitter(clock, self._sent)
        self._draw = PowerDraw()
        self._button = PowerButton(clock, self._pressed, self._pressed_long)
        self._phase = DutPhase.OFF
        self._pins = dict.fromkeys(ControlPin, PinLevel.FLOATING)
        self._store: BlockStore | None = None
        self._rom: Script[None] | None = None
        self._prompt: BootPrompt | RescuePrompt | None = None
        self._system: System | None = None
        self._boots = 0
        self._received_bytes = 0

    def connect(self, board: BoardSide) -> None:
        """Connect the DUT to its board."""
        self._board = board
        self._draw.connect(board)

    def supply(self, on: bool) -> None:
        """Handle the supply going on or off. Bytes still in the UART are lost with it."""
        self._switched_on = on
        if on == (self._phase is not DutPhase.OFF) or (self._stays_on and not on):
            return
        if not on:
            self._button.release()
            self._halt(DutPhase.OFF)
            return
        if self._pins[ControlPin.B] is PinLevel.LOW:
            self._button.press()
        self._start()

    def pin(self, pin: ControlPin, level: PinLevel) -> None:
        """Handle a pin that was driven or let float; do nothing if its level is the same."""
        if self._pins[pin] is level:
            return
        was_low = self._pins[pin] is PinLevel.LOW
        self._pins[pin] = level
        if was_low == (level is PinLevel.LOW) or self._phase is DutPhase.OFF:
            return
        if pin is ControlPin.RESET:
            self._start()
        elif pin is ControlPin.B and was_low:
            self._button.release()
        elif pin is ControlPin.B:
            self._button.press()

    def uart_to_dut(self, data: bytes) -> None:
        """Receive typed bytes. They are lost unless a prompt or a system reads them."""
        if self._phase in _NOT_LISTENING:
            return
        self._received_bytes += len(data)
        for byte in data:
            reader = self._prompt or self._system
            terminal = reader.terminal if reader else None
            if terminal:
                terminal.feed(byte)

    def stick(self, store: BlockStore | None) -> None:
        """Handle the mux connecting the stick, or disconnecting it (None)."""
        taken = self._store is not None and store is not self._store
        self._store = store
        if taken and self._system is not None:
            self._system.stick_gone()

    def fault(self, name: str, arguments: dict[str, Any]) -> None:
        """Begin a fault, or end it with `on` false; the default is true.

        `hang_in_boot` stops a boot half-way through its log. Its end does not revive a DUT that hangs; a
        reset does. `sag` takes `volts`, the supply's voltage under load. With `stays_on` a DUT that has power
        keeps it when the board switches the supply off, as with a relay that sticks or a second supply.

        Raises:
            ValueError: The name is unknown, or an argument is wrong.
        """
        on = arguments.get("on", True)
        if not isinstance(on, bool):
            raise ValueError(f"the fault `{name}` takes on=true or on=false, not {on!r}")  # noqa: TRY004 - documented
        match name:
            case "hang_in_boot":
                self.hangs_in_boot = on
            case "stays_on":
                self._stays_on = on
                self.supply(self._switched_on)
            case "sag":
                self._draw.sag(_volts(arguments) if on else None)
            case _:
                raise ValueError(f"unknown fault {name!r} of a DUT; the faults are {', '.join(FAULTS)}")

    def state(self) -> dict[str, Any]:
        """Return the DUT's true state; `image` and `uptime_s` are None while no system runs."""
        system = self._system
        return {
            "phase": self._phase.value,
            "image": system.identity if system else None,
            "pins": {pin.value: level.value for pin, level in self._pins.items()},
            "draw_amps": self._draw.amps,
            "volts": self._draw.volts,
            "logged_in": system is not None and system.logged_in,
            "uptime_s": system.uptime_s if system else None,
            "boots": self._boots,
            "uart_sent_bytes": self._uart.sent_bytes,
            "uart_received_bytes": self._received_bytes,
            "hang_in_boot": self.hangs_in_boot,
            "sag_volts": self._draw.sag_volts,
        }

    @property
    def store(self) -> BlockStore | None:
        """The stick, or None if the mux does not connect it to the DUT."""
        return self._store

    def enter(self, phase: DutPhase, amps: float | None = None) -> None:
        """Enter a phase, and draw its current or `amps`."""
        self._phase = phase
        self._draw.follow(phase, amps)

    def stopped(self, *, restart: bool) -> None:
        """Handle the end of a shutdown: start again, or stay in standby until the button is pressed."""
        if restart:
            self._start()
        else:
            self._halt(DutPhase.STANDBY)

    def _start(self) -> None:
        """Start the boot ROM or rescue mode, or stay in reset while RESET is low."""
        if self._pins[ControlPin.RESET] is PinLevel.LOW:
            self._halt(DutPhase.RESET)
        elif self._pins[ControlPin.A] is PinLevel.LOW:
            self._halt(DutPhase.RESCUE)
            self._prompt = RescuePrompt(self._uart, self._run_rom)
        else:
            self._run_rom()

    def _halt(self, phase: DutPhase) -> None:
        """Stop ROM, prompt and system, and drop their pending output."""
        if self._rom is not None:
            self._rom.cancel()
        if self._system is not None:
            self._system.close()
        self._rom = self._prompt = self._system = None
        self._uart.clear()
        self.wire.stop()
        self.enter(phase)

    def _run_rom(self) -> None:
        self._halt(DutPhase.ROM)
        self._rom = Script(self._clock, self._uart, _look_for_stick(), self._boot)
        self._rom.start()

    def _boot(self, _: None) -> None:
        """Boot the stick's image, or print why it cannot be booted."""
        try:
            image = read_image(self._store) if self._store else None
        except OSError:
            self._show_boot_prompt("sda: I/O error")
            return
        if image is None:
            self._show_boot_prompt("sda: no bootable image" if self._store else "sda: no stick")
            return
        self._boots += 1
        self._system = System(self._clock, self._uart, self, image, self._rng)
        self._system.start()

    def _show_boot_prompt(self, reason: str) -> None:
        self.enter(DutPhase.PROMPT)
        self._uart.send(f"{reason}\r\n".encode())
        self._prompt = BootPrompt(self._uart, self._run_rom)

    def _pressed(self) -> None:
        if self._phase is DutPhase.STANDBY:
            self._start()
        elif self._system is not None:
            self._system.power_button()

    def _pressed_long(self) -> None:
        if self._phase is not DutPhase.RESET:
            self._halt(DutPhase.STANDBY)

    def _sent(self, data: bytes) -> None:
        if self._board is not None:
            self._board.uart_from_dut(data)


def _look_for_stick() -> Steps[None]:
    yield f"\r\n{ROM_VERSION}\r\n"
    yield _ROM_S


def _volts(arguments: dict[str, Any]) -> float:
    try:
        return float(arguments["volts"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("the fault `sag` needs its volts, as in volts=4.5") from None
