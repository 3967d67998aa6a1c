"""The control pins of the DUT: CTL_A to CTL_D and RESET."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.noun import Noun
from hil.dutlink.timing import sleep
from hil.dutlink.usb.protocol import Level, Pin, PinValue, Request, StateByte
from hil.errors import HilError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.usb.control_link import ControlLink

__all__ = ["Level", "Pin", "Pins", "ResetEvent"]

RESET_PULSE_S = 0.1


class ResetEvent:
    """The reset pin is held low; the DUT starts when the pin is released."""

    @property
    def starts_dut(self) -> bool:
        """Whether the DUT may start now."""
        return True

    def __str__(self) -> str:
        return "reset low"


class Pins(Noun):
    """The control pins of one board.

    Every method raises `BoardFaultError` or `BoardLostError` if the board does not take the request, and
    `UsageError` if there is no such pin or level.

    Args:
        link: The control link to the board.
        listener: Called with an event when the DUT is held in reset.
    """

    def __init__(self, link: ControlLink, listener: Callable[[ResetEvent], object] = lambda _: None) -> None:
        self._link = link
        self._report = listener

    def __repr__(self) -> str:
        return f"<Pins of board {self._link.serial}: {', '.join(Pin)}>"

    def set(self, pin: Pin | str, level: Level | str) -> None:
        """Drive a pin `low` or `high`, or leave it `floating`.

        While the supply is off, high takes effect when the supply is switched on.
        """
        value = PinValue[_pin(pin).name]
        state = StateByte[_level(level).name]
        self._link.control_out(Request.SET_PIN, value, bytes([state]))
        if value is PinValue.RESET and state is StateByte.LOW:
            self._report(ResetEvent())

    def low(self, pin: Pin | str) -> None:
        """Drive a pin low."""
        self.set(pin, Level.LOW)

    def high(self, pin: Pin | str) -> None:
        """Drive a pin high."""
        self.set(pin, Level.HIGH)

    def floating(self, pin: Pin | str) -> None:
        """Leave a pin floating."""
        self.set(pin, Level.FLOATING)

    def float_all(self) -> None:
        """Leave every pin floating; try all of them, then raise the first error."""
        errors: list[HilError] = []
        for pin in Pin:
            try:
                self.floating(pin)
            except HilError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def pulse_reset(self, duration_s: float = RESET_PULSE_S) -> None:
        """Hold the reset pin low for that many seconds, then leave it floating, even after an error."""
        try:
            self.low(Pin.RESET)
            sleep(duration_s)
        except BaseException:
            self._release_reset_quietly()
            raise
        self.floating(Pin.RESET)

    def _release_reset_quietly(self) -> None:
        try:
            self.floating(Pin.RESET)
        except HilError:
            return  # the first error is raised


def _pin(name: Pin | str) -> Pin:
    try:
        return Pin(name.lower())
    except ValueError:
        raise UsageError(f"there is no pin {name!r}", remedy=f"one of {', '.join(Pin)}") from None


def _level(name: Level | str) -> Level:
    try:
        return Level(name.lower())
    except ValueError:
        raise UsageError(f"a pin cannot be {name!r}", remedy=f"one of {', '.join(Level)}") from None
