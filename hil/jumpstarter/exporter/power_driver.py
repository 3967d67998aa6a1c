"""The DUT's supply and its meter, for any Jumpstarter client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jumpstarter.driver import export
from jumpstarter_driver_power.driver import PowerInterface, PowerReading

from hil.jumpstarter.exporter.base_driver import SupplyDriver
from hil.jumpstarter.exporter.meter import SharedMeter
from hil.jumpstarter.protocol.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hil.dutlink.power.reading import PowerReading as Measured

__all__ = ["PowerDriver"]

_AT_ONCE_S = 0.02


@dataclass(kw_only=True)
class PowerDriver(PowerInterface, SupplyDriver):
    """The supply in the firmware's words; `on`, `off` and `rescue` return when the board's sequence is over.

    Nothing is left out because it was sent before: the board may have been reset in between.
    """

    _meter: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the meter that all of its clients watch."""
        super().__post_init__()
        self._meter = SharedMeter(self._measured, self._measured_at_once)

    @export
    @in_thread
    def on(self) -> None:
        """Run the board's power_on sequence."""
        with self.tenant.board() as board:
            board.power.on()

    @export
    @in_thread
    def off(self) -> None:
        """Run the board's power_off sequence."""
        with self.tenant.board() as board:
            board.power.off()

    @export
    @in_thread
    def rescue(self) -> None:
        """Run the board's power_rescue sequence."""
        with self.tenant.board() as board:
            board.power.rescue()

    @export
    async def read(self) -> AsyncGenerator[PowerReading, None]:
        """Yield what the meter reads now, then whenever that changes; without end."""
        reading = await self._meter.read()
        while True:
            yield PowerReading(voltage=reading.volts, current=reading.amps)
            reading = await self._meter.wait_for_change(reading)

    def _measured(self) -> Measured:
        with self.tenant.board() as board:
            reading: Measured = board.power.read()
        return reading

    def _measured_at_once(self) -> Measured | None:
        with self.tenant.try_board() as board:
            reading: Measured | None = None if board is None else board.power.try_read(_AT_ONCE_S)
        return reading
