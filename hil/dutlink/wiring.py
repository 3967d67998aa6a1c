"""What the lab file says about one board's surroundings: console, stick, login and password of the DUT."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.dut.account import Login

__all__ = ["UP_TIMEOUT_S", "Wiring"]

UP_TIMEOUT_S = 120.0
"""The default time that a DUT may take to come up, in seconds."""


class Wiring(NamedTuple):
    """The surroundings of one board.

    Attributes:
        console: The tty of the DUT's own console, if its console is not the board's UART.
        stick: The stick's device node on the host, best by a permanent name in `by-id`; None: the disk that
            follows the mux.
        baud_rate: The baud rate of the DUT's own console; the board's UART is fixed at 115200.
        login: The account for logging in to the DUT.
        up: What the console shows when the DUT is up, a regular expression; None: a login prompt.
        up_timeout_s: Seconds that the DUT may take to come up.
        pace_s: Seconds between two characters that are sent to the DUT.
        name: The board's place in the lab file; empty if it has none.
    """

    console: Path | None = None
    stick: Path | None = None
    baud_rate: int = 115200
    login: Login | None = None
    up: str | None = None
    up_timeout_s: float = UP_TIMEOUT_S
    pace_s: float = 0.0
    name: str = ""
