"""What a verb returns that has more to say than data: a sentence for a person, or an exit status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Data to print, and the exit status.

    Attributes:
        value: As any verb returns it; what `--json` prints.
        status: 0, or 1 where it tells of something that went wrong.
        text: What a person reads instead of `value`: a sentence, or a table.
    """

    value: Any
    status: int = 0
    text: str | None = None
