"""What a board cannot know about the bench around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.dut.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UP_TIMEOUT_S", "Login", "Wiring"]

UP_TIMEOUT_S = 120.0
"""How long a DUT may take to come up, in seconds, where its place does not say."""

NO_PASSWORD: Final = Secret("")


@dataclass(frozen=True, slots=True)
class Login:
    """How one logs in to the DUT.

    Attributes:
        user: Its name there.
        password: Sent if it is asked for.
        prompt: The shell's prompt, a regular expression; None: `# ` or `$ `.
    """

    user: str
    password: Secret = NO_PASSWORD
    prompt: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "password", Secret(self.password))


@dataclass(frozen=True, slots=True)
class Wiring:
    """What belongs to one board: paths on the host, and words of its DUT.

    Attributes:
        console: The tty of the DUT's own console, where it is not the board's UART.
        stick: The storage stick's device node on the host (a `by-id` path keeps its name). None: the one
            disk that follows the mux.
        baud_rate: Of a console of its own; the board's UART is fixed at 115200.
        login: How one logs in to the DUT.
        up: What its console shows when it is up, a regular expression; None: a login prompt.
        up_timeout_s: How long it may take to come up, in seconds.
        pace_s: Seconds between two characters that are sent to it.
        name: What the lab file calls the board's place; empty where it has none.
    """

    console: Path | None = None
    stick: Path | None = None
    baud_rate: int = 115200
    login: Login | None = None
    up: str | None = None
    up_timeout_s: float = UP_TIMEOUT_S
    pace_s: float = 0.0
    name: str = ""
