"""Judges by current whether a DUT has power: the firmware leaves open where voltage is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import until

if TYPE_CHECKING:
    from hil.dutlink.power.power import Power
    from hil.dutlink.power.reading import PowerReading

DRAWS_AMPS = 0.015
"""What any DUT draws: five steps of the sensor above its offset."""

RISES_WITHIN_S = 2 * SETTLE_S
FALLS_WITHIN_S = 4 * SETTLE_S


@dataclass(frozen=True, slots=True)
class Meter:
    """The meter of one board.

    Attributes:
        power: Where it is read.
        offset_amps: What it reads when nothing is drawn.
    """

    power: Power
    offset_amps: float

    def draws(self, limit_s: float = RISES_WITHIN_S) -> bool:
        """Whether current begins to flow within that time."""
        return until(self._drawing, limit_s) is not None

    def falls(self) -> PowerReading:
        """Wait until current has ceased to flow, and return that reading.

        Raises:
            BoardFaultError: It goes on.
        """
        return self.power.wait_until_off(FALLS_WITHIN_S, self.offset_amps, DRAWS_AMPS)

    def _drawing(self) -> bool:
        return self.power.read().amps > self.offset_amps + DRAWS_AMPS
