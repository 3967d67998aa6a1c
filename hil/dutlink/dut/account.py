"""The account for logging in to the DUT, whose password is shown nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["HIDDEN", "Login", "Secret", "SecretBytes"]

HIDDEN: Final = "***"
"""The text that is shown in place of a secret."""


class Secret:
    """Text that is shown as `***`; `reveal` returns it.

    It is no `str`, so that no f-string, log line or JSON document can hold it by accident.

    Args:
        text: The text; a secret stays the same.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret = "") -> None:
        self._text: str = text.reveal() if isinstance(text, Secret) else text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def encode(self) -> SecretBytes:
        """Return the text in UTF-8, as secret bytes."""
        return SecretBytes(self._text.encode())

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)


class SecretBytes(bytes):
    """Bytes that are shown as `***`; so are their slices, and the results of adding to them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - a number, or secret bytes
        got = super().__getitem__(key)
        return SecretBytes(got) if isinstance(got, bytes) else got

    def __add__(self, more: object) -> SecretBytes:
        return SecretBytes(bytes(self) + more) if isinstance(more, bytes) else NotImplemented


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
