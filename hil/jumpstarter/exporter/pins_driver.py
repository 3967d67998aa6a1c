"""Driver of the control pins for clients that have hil."""

from __future__ import annotations

from dataclasses import dataclass

from jumpstarter.driver import export

from hil.jumpstarter.exporter.base_driver import BoardDriver
from hil.jumpstarter.protocol.client_classes import PINS_CLIENT
from hil.jumpstarter.protocol.threads import in_thread

__all__ = ["PinsDriver"]


@dataclass(kw_only=True)
class PinsDriver(BoardDriver):
    """The pins CTL_A to CTL_D and RESET."""

    @classmethod
    def client(cls) -> str:
        """Return the path of the client class."""
        return PINS_CLIENT

    @export
    @in_thread
    def set(self, pin: str, level: str) -> None:
        """Drive a pin `low` or `high`, or leave it `floating`."""
        with self.tenant.board() as board:
            board.pins.set(pin, level)

    @export
    @in_thread
    def pulse_reset(self, duration_s: float) -> None:
        """Drive the reset pin low for `duration_s` seconds."""
        with self.tenant.board() as board:
            board.pins.pulse_reset(duration_s)

    @export
    @in_thread
    def float_all(self) -> None:
        """Leave every pin floating."""
        with self.tenant.board() as board:
            board.pins.float_all()
