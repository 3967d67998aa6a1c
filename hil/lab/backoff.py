"""Pauses between attempts, each twice as long as the one before."""

from __future__ import annotations

__all__ = ["Backoff"]


class Backoff:
    """A series of pauses that doubles from `first_s` up to `longest_s`.

    Args:
        first_s: The first pause, in seconds.
        longest_s: The longest pause, in seconds.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s

    def next(self) -> float:
        """Return the next pause in seconds."""
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Start again with the first pause."""
        self._next_s = self._first_s
