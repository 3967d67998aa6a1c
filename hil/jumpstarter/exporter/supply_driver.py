"""Switching the supply at once, past the board's sequences: two drivers offer it."""

from __future__ import annotations

from dataclasses import dataclass

from jumpstarter.driver import export

from hil.jumpstarter.exporter.base_driver import Part
from hil.jumpstarter.protocol.threads import done_by_hand

__all__ = ["SupplyPart"]


@dataclass(kw_only=True)
class SupplyPart(Part):
    """A driver that forces the supply: `power`, where stock clients look, and `board`, which has commands."""

    @export
    @done_by_hand
    def force_on(self) -> None:
        """Switch the supply on at once."""
        with self.tenant.board() as board:
            board.power.force_on()

    @export
    @done_by_hand
    def force_off(self) -> None:
        """Switch the supply off at once."""
        with self.tenant.board() as board:
            board.power.force_off()
