"""How a board is shown to people, on the terminal and on pages: its name, then its serial number."""

from __future__ import annotations

__all__ = ["board_label"]


def board_label(serial: str, name: str = "") -> str:
    """Return `left (0df10035)`, or the serial number alone if the board has no other name."""
    return f"{name} ({serial})" if name and serial and name != serial else name or serial
