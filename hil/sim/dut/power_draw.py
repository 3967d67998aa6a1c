"""The simulated DUT's phase, the current that it draws, and the energy that it has used."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hil.sim.interfaces import BoardSide, Clock

__all__ = ["DRAW_AMPS", "SUPPLY_VOLTS", "DutPhase", "PowerDraw"]


class DutPhase(enum.StrEnum):
    """What the DUT does at the moment, which determines its current."""

    OFF = "off"
    STANDBY = "standby"
    RESET = "reset"
    ROM = "rom"
    PROMPT = "boot prompt"
    RESCUE = "rescue"
    BOOT = "boot"
    HUNG = "hung"
    IDLE = "idle"
    LOAD = "load"
    SHUTDOWN = "shutdown"


DRAW_AMPS: Final = {
    DutPhase.OFF: 0.0,
    DutPhase.STANDBY: 0.02,
    DutPhase.RESET: 0.08,
    DutPhase.ROM: 0.25,
    DutPhase.PROMPT: 0.22,
    DutPhase.RESCUE: 0.26,
    DutPhase.BOOT: 0.62,
    DutPhase.HUNG: 0.45,
    DutPhase.IDLE: 0.35,
    DutPhase.LOAD: 1.4,
    DutPhase.SHUTDOWN: 0.48,
}
"""Current of each phase. A load may set another current."""

SUPPLY_VOLTS: Final = 5.1
"""Voltage of the supply without load."""

_SUPPLY_OHMS: Final = 0.08
_SAG_AMPS: Final = 0.2
"""Smallest current that counts as load for the fault `sag`: that of each phase but standby and reset."""


class PowerDraw:
    """The DUT's current and the supply's voltage under it. It reports each change to the board."""

    def __init__(self) -> None:
        self.amps = 0.0
        self.volts = 0.0
        self.sag_volts: float | None = None
        self._powered = False
        self._board: BoardSide | None = None

    def connect(self, board: BoardSide) -> None:
        """Connect to the board that gets the changes."""
        self._board = board

    def follow(self, phase: DutPhase, amps: float | None = None) -> None:
        """Draw the current of `phase`, or `amps` if given."""
        self._powered = phase is not DutPhase.OFF
        self._change(DRAW_AMPS[phase] if amps is None else amps)

    def sag(self, volts: float | None) -> None:
        """Let the supply sag to `volts` under load; None ends the sag.

        Raises:
            ValueError: `volts` is negative or not finite.
        """
        if volts is not None and not (math.isfinite(volts) and volts >= 0):
            raise ValueError(f"the supply cannot sag to {volts} V")
        self.sag_volts = volts
        self._change(self.amps)

    def _change(self, amps: float) -> None:
        volts = self._volts(amps)
        if (amps, volts) == (self.amps, self.volts):
            return
        self.amps, self.volts = amps, volts
        if self._board is not None:
            self._board.draw_changed(amps, volts)

    def _volts(self, amps: float) -> float:
        if not self._powered:
            return 0.0
        if self.sag_volts is not None and amps >= _SAG_AMPS:
            return self.sag_volts
        return round(SUPPLY_VOLTS - _SUPPLY_OHMS * amps, 4)


class EnergyCounter:
    """The true energy that a DUT has used since its supply came on. The count stays when the supply goes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._joules = 0.0
        self._watts = 0.0
        self._powered = False
        self._since_s = clock.now()

    @property
    def joules(self) -> float:
        """Energy until now, in joules."""
        return self._joules + self._watts * (self._clock.now() - self._since_s)

    def change(self, amps: float, volts: float) -> None:
        """Take the current and voltage from now on; 0 V means that the supply is off."""
        begins = volts > 0 and not self._powered
        self._joules = 0.0 if begins else self.joules
        self._powered = volts > 0
        self._watts = amps * volts
        self._since_s = self._clock.now()
