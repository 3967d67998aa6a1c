"""The result of a command with a text for users or an exit status."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["KILLED", "Answer"]

KILLED = 128
"""Number that shells add to the signal that ended a program, for its exit status."""


class Answer(NamedTuple):
    """Data to print, and the exit status.

    Attributes:
        value: Data for `--json`.
        status: Exit status: 0, or 1 if `value` reports a failure.
        text: Text for users in place of `value`, or None.
    """

    value: Any
    status: int = 0
    text: str | None = None
