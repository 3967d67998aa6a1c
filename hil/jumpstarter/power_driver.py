"""The DUT's supply and its meter, for any Jumpstarter client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread
from jumpstarter.driver import export
from jumpstarter_driver_power.driver import PowerInterface, PowerReading

from hil.jumpstarter.supply_part import SupplyPart

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["PowerDriver"]

_READ_EVERY_S = 0.5


@dataclass(kw_only=True)
class PowerDriver(PowerInterface, SupplyPart):
    """The supply in the firmware's words; `on`, `off` and `rescue` return when the board's sequence is over.

    Nothing is left out because it was sent before: the board may have been reset in between.
    """

    @export
    def on(self) -> None:
        """Run the board's power_on sequence."""
        with self.tenant.board() as board:
            board.power.on()

    @export
    def off(self) -> None:
        """Run the board's power_off sequence."""
        with self.tenant.board() as board:
            board.power.off()

    @export
    def rescue(self) -> None:
        """Run the board's power_rescue sequence."""
        with self.tenant.board() as board:
            board.power.rescue()

    @export
    async def read(self) -> AsyncGenerator[PowerReading, None]:
        """Yield what the meter reads now, then whenever that changes; without end."""
        told = None
        while True:
            reading = await to_thread.run_sync(self._measured)
            if reading != told:
                told = reading
                yield reading
            await asyncio.sleep(_READ_EVERY_S)

    def _measured(self) -> PowerReading:
        with self.tenant.board() as board:
            reading = board.power.read()
        return PowerReading(voltage=reading.volts, current=reading.amps)
