"""The time of day at which a night starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from hil.errors import UsageError

__all__ = ["TimeOfDay"]

_FORM = re.compile(r"([0-9]{1,2}):([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """Hour and minute, in the host's time zone."""

    hour: int
    minute: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `HH:MM`.

        Raises:
            UsageError: The text is no time of day.
        """
        found = _FORM.fullmatch(text)
        if found is not None:
            hour, minute = int(found[1]), int(found[2])
            if hour < 24 and minute < 60:  # noqa: PLR2004 - a day's hours, an hour's minutes
                return cls(hour, minute)
        raise UsageError(
            f"--at {text!r} is no time of day",
            why="it is HH:MM, from 00:00 to 23:59, in this host's time zone",
            remedy="--at 04:30",
        )

    def __str__(self) -> str:
        return f"{self.hour:02}:{self.minute:02}"

    @property
    def cron(self) -> str:
        """The first five fields of a crontab line."""
        return f"{self.minute} {self.hour} * * *"
