"""What a board cannot know about the bench around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Wiring"]


@dataclass(frozen=True, slots=True)
class Wiring:
    """Paths on the host that belong to one board.

    Attributes:
        console: The tty of the DUT's own console, where it is not the board's UART.
        stick: The storage stick's device node on the host (a `by-id` path keeps its name). None: the one
            disk that follows the mux.
        baud_rate: Of a console of its own; the board's UART is fixed at 115200.
    """

    console: Path | None = None
    stick: Path | None = None
    baud_rate: int = 115200
