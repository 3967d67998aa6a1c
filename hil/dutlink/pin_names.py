"""The control pins, by the names printed on the board, and their levels."""

from __future__ import annotations

import enum

__all__ = ["Level", "Pin"]


class Pin(enum.StrEnum):
    """A control pin."""

    A = "a"
    B = "b"
    C = "c"
    D = "d"
    RESET = "reset"


class Level(enum.StrEnum):
    """The level of a pin.

    A pin that is set high while the supply is off stays floating until the supply is on, so that no current
    flows into an unpowered DUT. Low and floating take effect at once (firmware: ctlpins.rs).
    """

    LOW = "low"
    HIGH = "high"
    FLOATING = "floating"
