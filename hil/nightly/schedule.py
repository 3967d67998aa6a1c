"""When nights start, in this host's time zone, with the changes of summer time."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = [
    "SAFE_TIME",
    "MovedNight",
    "TimeOfDay",
    "last_due",
    "moved_nights",
    "next_nights",
    "summer_time_words",
]

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


SAFE_TIME = "04:30"
"""A time of day that no time zone skips or doubles in these decades; a test checks all zones."""

_YEARS_AHEAD = 10


class MovedNight(NamedTuple):
    """A night whose time of day does not exist, or exists twice.

    Attributes:
        day: Its date.
        begins: Its start in local time.
        is_skipped: True if the time does not exist; False if it exists twice, and the night starts at the
            first.
    """

    day: date
    begins: datetime
    is_skipped: bool


def begin_of(day: date, at: TimeOfDay) -> datetime:
    """Return the start of the night of a date; a skipped time of day is later by the change of the clocks."""
    wanted = datetime(day.year, day.month, day.day, at.hour, at.minute)  # noqa: DTZ001 - the host's zone
    return datetime.fromtimestamp(wanted.timestamp(), UTC).astimezone()


def next_nights(at: TimeOfDay, count: int = 3, now_s: float | None = None) -> list[datetime]:
    """Return the starts of the next nights."""
    now = datetime.fromtimestamp(time.time() if now_s is None else now_s, UTC).astimezone()
    nights = (begin_of(now.date() + timedelta(days=days), at) for days in range(count + 2))
    return [night for night in nights if night > now][:count]


def last_due(at: TimeOfDay, now_s: float) -> float:
    """Return the time at which the last night was due, in seconds since 1970."""
    today = datetime.fromtimestamp(now_s, UTC).astimezone().date()
    begins = (begin_of(today - timedelta(days=days), at).timestamp() for days in range(3))
    return next(begin for begin in begins if begin <= now_s)


def moved_nights(at: TimeOfDay, now_s: float | None = None) -> Iterator[MovedNight]:
    """Yield the nights of the next ten years that a change of summer time moves."""
    today = datetime.fromtimestamp(time.time() if now_s is None else now_s, UTC).astimezone().date()
    for days in range(_YEARS_AHEAD * 366):
        day = today + timedelta(days=days)
        begins = begin_of(day, at)
        if (begins.hour, begins.minute) != (at.hour, at.minute) or begins.date() != day:
            yield MovedNight(day, begins, is_skipped=True)
            continue
        wanted = datetime(day.year, day.month, day.day, at.hour, at.minute)  # noqa: DTZ001 - the host's zone
        if wanted.replace(fold=1).timestamp() != wanted.timestamp():
            yield MovedNight(day, begins, is_skipped=False)


def summer_time_words(at: TimeOfDay, moved: list[MovedNight]) -> str:
    """Return a sentence about summer time's effect on a time of day; empty if no time zone changes it."""
    skipped = [one for one in moved if one.is_skipped]
    if skipped:
        first = skipped[0]
        return (
            f"{at} does not exist on {first.day} ({first.begins.tzname()} begins): that night begins at "
            f"{first.begins:%H:%M}, and so each year; {SAFE_TIME} exists everywhere"
        )
    if moved:
        return f"{at} comes twice on {moved[0].day}, when summer time ends: the night runs once, at the first"
    if at.hour < int(SAFE_TIME[:2]):
        return (
            f"this host's time zone ({time.tzname[0]}) leaves {at} alone; others skip it when summer time "
            f"begins: install again when the zone changes, or take {SAFE_TIME}, which exists everywhere"
        )
    return ""
