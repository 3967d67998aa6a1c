"""What a verb returns when its data is printed although something went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Data to print, and the exit status.

    Attributes:
        value: As any verb returns it.
        status: 0, or 1 where it tells of something that went wrong.
    """

    value: Any
    status: int = 0
