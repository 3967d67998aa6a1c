"""The control pins and what they can do, by the names printed on the board."""

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
    """What a pin does to the DUT.

    A pin set high while the supply is off is remembered but left floating, so that no current flows into an
    unpowered DUT; low and floating are driven at once (firmware: ctlpins.rs).
    """

    LOW = "low"
    HIGH = "high"
    FLOATING = "floating"
