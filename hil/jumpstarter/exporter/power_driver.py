"""Driver of the DUT's supply and of the meter for stock Jumpstarter clients."""

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

    from hil.dutlink.power.reading import PowerReading as BoardReading

__all__ = ["PowerDriver"]

_TRY_READ_S = 0.02


@dataclass(kw_only=True)
class PowerDriver(PowerInterface, SupplyDriver):
    """The supply; `on`, `off` and `rescue` return when the board's sequence is over.

    Every call goes to the board, even if it repeats the last one: the board may have been reset in between.
    """

    _meter: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the meter that all clients share."""
        super().__post_init__()
        self._meter = SharedMeter(self._read_meter, self._try_read_meter)

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
        """Yield a reading of the meter now and whenever it changes; for ever."""
        reading = await self._meter.read()
        while True:
            yield PowerReading(voltage=reading.volts, current=reading.amps)
            reading = await self._meter.wait_for_change(reading)

    def _read_meter(self) -> BoardReading:
        with self.tenant.board() as board:
            reading: BoardReading = board.power.read()
        return reading

    def _try_read_meter(self) -> BoardReading | None:
        with self.tenant.try_board() as board:
            reading: BoardReading | None = None if board is None else board.power.try_read(_TRY_READ_S)
        return reading
