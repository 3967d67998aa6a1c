"""The wire between the second UARTs of all simulated DUTs of a bench, as RS-485: each hears all others."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Wire", "WireEnd"]

_KEPT_LINES: Final = 64
"""Lines that a UART keeps for its system; a later line takes the place of the oldest."""


class Wire:
    """The wire; `plug_in` returns the end for one DUT."""

    def __init__(self) -> None:
        self._ends: list[WireEnd] = []

    def plug_in(self) -> WireEnd:
        """Return the end for another DUT."""
        self._ends.append(WireEnd(self))
        return self._ends[-1]

    def carry(self, line: str, sender: WireEnd) -> int:
        """Pass a line to all other DUTs whose system is up, and return how many there are."""
        heard = [end for end in self._ends if end is not sender and end.is_up]
        for end in heard:
            end.received.append(line)
        return len(heard)


class WireEnd:
    """The second UART of one DUT.

    Attributes:
        is_up: Whether a system runs that reads it.
        received: The lines that the system has not read yet.
    """

    def __init__(self, wire: Wire | None = None) -> None:
        self.is_up = False
        self.received: deque[str] = deque(maxlen=_KEPT_LINES)
        self._wire = wire

    def start(self) -> None:
        """Begin to receive, when a system has booted."""
        self.is_up = True

    def stop(self) -> None:
        """Lose what was not read, when the system ends."""
        self.is_up = False
        self.received.clear()

    def send(self, line: str) -> int:
        """Send a line, and return how many DUTs hear it."""
        return self._wire.carry(line, self) if self._wire is not None else 0
