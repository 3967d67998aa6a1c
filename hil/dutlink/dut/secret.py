"""Passwords as strings and bytes with a `repr` of `***`: no traceback and no list of locals tells them."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["HIDDEN", "Secret", "SecretBytes"]

HIDDEN: Final = "***"
"""What is shown in the place of a secret."""


class Secret(str):
    """Text that is shown as `***`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> SecretBytes:
        """Return the same as bytes, which are secret, too."""
        return SecretBytes(super().encode(encoding, errors))


class SecretBytes(bytes):
    """Bytes that are shown as `***`; their slices, and what is added to them, are secret, too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - a number, or bytes that are secret, too
        got = super().__getitem__(key)
        return SecretBytes(got) if isinstance(got, bytes) else got

    def __add__(self, more: object) -> SecretBytes:
        return SecretBytes(bytes(self) + more) if isinstance(more, bytes) else NotImplemented
