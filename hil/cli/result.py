"""The result of a command with a text for users or an exit status, and the error if a signal ended it."""

from __future__ import annotations

from typing import Any, NamedTuple

from hil.errors import HilError

__all__ = ["INTERRUPTED", "KILLED", "Answer", "InterruptionError"]

KILLED = 128
"""Number that shells add to the signal that ended a program, for its exit status."""

INTERRUPTED = KILLED + 2
"""Exit status after Ctrl-C, which is signal 2."""


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


class InterruptionError(HilError):
    """A signal ended the command; `status` is its exit status."""

    status = INTERRUPTED
