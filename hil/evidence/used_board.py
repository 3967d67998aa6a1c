"""A board that a test used, as ledger, evidence and history know it, and how it is shown to people."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["UsedBoard", "board_label", "natural_key"]


def board_label(serial: str, name: str = "") -> str:
    """Return `left (0df10035)`, or the serial number alone if the board has no other name."""
    return f"{name} ({serial})" if name and serial and name != serial else name or serial


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a key by which jetson-10 comes after jetson-2."""
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


@dataclass(frozen=True, slots=True)
class UsedBoard:
    """A board that a test used.

    Attributes:
        serial: Serial number; empty if a test asked for a board and had none.
        firmware: Firmware version.
        name: Its name: of its place in the lab file, in its settings, or `sim-1`.
        simulated: Whether it is a simulated board.
        role: What a test that uses several boards calls it; empty for the only board.
    """

    serial: str = ""
    firmware: str = ""
    name: str = ""
    simulated: bool = False
    role: str = ""

    @property
    def label(self) -> str:
        """Its name and serial number."""
        return board_label(self.serial, self.name)
