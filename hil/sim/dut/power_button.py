"""The simulated DUT's power button, which pin B presses by being low."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.sim.interfaces import Clock, NoTimer, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONG_PRESS_S", "PRESS_S", "PowerButton"]

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
