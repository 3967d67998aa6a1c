"""What the lab file says about one board's surroundings: console, stick, login and password of the DUT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HIDDEN", "UP_TIMEOUT_S", "Login", "Secret", "SecretBytes", "Wiring"]

HIDDEN: Final = "***"
"""The text that is shown in place of a secret."""


class Secret(str):
    """Text that is shown as `***`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> SecretBytes:
        """Return the same as secret bytes."""
        return SecretBytes(super().encode(encoding, errors))


class SecretBytes(bytes):
    """Bytes that are shown as `***`; so are their slices, and the results of adding to them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - a number, or secret bytes
        got = super().__getitem__(key)
        return SecretBytes(got) if isinstance(got, bytes) else got

    def __add__(self, more: object) -> SecretBytes:
        return SecretBytes(bytes(self) + more) if isinstance(more, bytes) else NotImplemented


UP_TIMEOUT_S = 120.0
"""The default time that a DUT may take to come up, in seconds."""

NO_PASSWORD: Final = Secret("")


@dataclass(frozen=True, slots=True)
class Login:
    """The account for logging in to the DUT.

    Attributes:
        user: The user's name.
        password: Sent if the DUT asks for it.
        prompt: The shell's prompt, a regular expression; None: `# ` or `$ `.
    """

    user: str
    password: Secret = NO_PASSWORD
    prompt: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "password", Secret(self.password))


@dataclass(frozen=True, slots=True)
class Wiring:
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
