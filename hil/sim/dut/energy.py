"""The true energy that a DUT has taken, which no meter of the board knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.sim.interfaces import Clock

__all__ = ["EnergyCounter"]


class EnergyCounter:
    """Counts from the moment the supply comes on; what was counted stays when it goes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._joules = 0.0
        self._watts = 0.0
        self._powered = False
        self._since_s = clock.now()

    @property
    def joules(self) -> float:
        """Energy until now."""
        return self._joules + self._watts * (self._clock.now() - self._since_s)

    def change(self, amps: float, volts: float) -> None:
        """Learn what is drawn from now on; no volts: the supply is off."""
        begins = volts > 0 and not self._powered
        self._joules = 0.0 if begins else self.joules
        self._powered = volts > 0
        self._watts = amps * volts
        self._since_s = self._clock.now()
