"""Times, lengths and counts as pages say them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.evidence.file_names import file_stem

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.evidence.test_record import RecordedTest

__all__ = [
    "FILTERS",
    "KINDS",
    "OUTCOMES",
    "board_file",
    "clock",
    "messages",
    "moment",
    "night",
    "seconds",
    "when",
]

OUTCOMES = ("failed", "error", "cut short", "flaky", "xpassed", "passed", "xfailed", "skipped")
"""What a test can become, the loud ones first; their colours are called `o-` and the first word."""

KINDS = [(outcome.split()[0], outcome) for outcome in OUTCOMES]
"""The same as a page's choice: its value and its text."""

_MINUTE_S, _HOUR_S = 60.0, 3600.0
_SHORT = 500


def seconds(duration_s: float) -> str:
    """Return a duration: 0.25 s, 12.3 s, 4 min 05 s, 2 h 03 min."""
    if duration_s < 10:  # noqa: PLR2004 - two digits are enough from there on
        return f"{duration_s:.2f} s"
    if duration_s < _MINUTE_S:
        return f"{duration_s:.1f} s"
    whole = round(duration_s)
    if whole < _HOUR_S:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def moment(time_s: float) -> str:
    """Return a point in time, in UTC, to the minute."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def when(time_s: float) -> Markup:
    """Return a point in time that a page shows as the reader's own time, and without JavaScript in UTC."""
    iso = datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(iso, moment(time_s))


def messages(test: RecordedTest) -> list[str]:
    """Return what the first failing attempt of a test said, and the last one where that is something else."""
    said = [one.message for one in test.attempts if one.message]
    return list(dict.fromkeys([*said[:1], *said[-1:]]))


def night(time_s: float) -> str:
    """Return a date and a time of day that are short enough for a list."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M")


def clock(time_s: float) -> str:
    """Return the time of day with milliseconds."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%H:%M:%S.%f")[:-3]


def outcome_class(outcome: str) -> str:
    """Return the name of an outcome's colours."""
    return f"o-{outcome.split(maxsplit=1)[0]}" if outcome else "o-none"


def milliseconds(duration_s: float) -> str:
    """Return a duration of which milliseconds matter, where it is short."""
    return f"{duration_s * 1000:.1f} ms" if duration_s < 1 else seconds(duration_s)


def shorten(text: str) -> str:
    """Return what fits into a few lines of a page."""
    return text if len(text) <= _SHORT else f"{text[:_SHORT]} [...]"


def board_file(serial: str) -> str:
    """Return how a board's page is called: by its serial number, unless that is no file name."""
    return serial if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", serial) else file_stem(serial)


FILTERS: dict[str, Callable[..., object]] = {
    "when": when,
    "messages": messages,
    "seconds": seconds,
    "milliseconds": milliseconds,
    "night": night,
    "clock": clock,
    "oclass": outcome_class,
    "shorten": shorten,
    "board_file": board_file,
    "file_stem": file_stem,
}
