"""Template filters: times, durations and names as pages show them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from markupsafe import Markup

from hil.evidence.measurement import format_quantity
from hil.evidence.records import file_stem
from hil.text_table import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.evidence.records import RecordedTest

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
"""Outcomes of a test, failures first; the style of each is called `o-` and its first word."""

KINDS = [(outcome.split()[0], outcome) for outcome in OUTCOMES]
"""The outcomes as choices of a page: value and text."""

_MINUTE_S, _HOUR_S = 60.0, 3600.0
_SHORT = 500


def seconds(duration_s: float) -> str:
    """Format a duration: 0.25 s, 12.3 s, 4 min 05 s, 2 h 03 min."""
    if duration_s < 10:  # noqa: PLR2004 - two digits are enough from there on
        return f"{duration_s:.2f} s"
    if duration_s < _MINUTE_S:
        return f"{duration_s:.1f} s"
    whole = round(duration_s)
    if whole < _HOUR_S:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def moment(time_s: float) -> str:
    """Format a time, in UTC, to the minute."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def when(time_s: float) -> Markup:
    """Format a time in UTC, as all times of a page; the page shows the reader's own on hover."""
    iso = datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(iso, moment(time_s))


def messages(test: RecordedTest) -> list[tuple[str, str]]:
    """Return the first and the last message of a test's attempts, each with a word; one if they are equal."""
    said = [one.message for one in test.attempts if one.message]
    if not said or said[0] == said[-1]:
        return [("", text) for text in said[:1]]
    return [("first: ", said[0]), ("last: ", said[-1])]


def night(time_s: float) -> str:
    """Format a date and a time of day, short enough for a list."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M")


def clock(time_s: float) -> str:
    """Format a time of day with milliseconds."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%H:%M:%S.%f")[:-3]


def outcome_class(outcome: str) -> str:
    """Return the style class of an outcome."""
    return f"o-{outcome.split(maxsplit=1)[0]}" if outcome else "o-none"


def milliseconds(duration_s: float) -> str:
    """Format a duration, in milliseconds if it is below a second."""
    return f"{duration_s * 1000:.1f} ms" if duration_s < 1 else seconds(duration_s)


def shorten(text: str) -> str:
    """Cut a text to a few lines of a page."""
    return text if len(text) <= _SHORT else f"{text[:_SHORT]} [...]"


def board_file(serial: str) -> str:
    """Return the file name of a board's page: its serial number, if that can be a file name."""
    return serial if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", serial) else file_stem(serial)


FILTERS: dict[str, Callable[..., object]] = {
    "when": when,
    "messages": messages,
    "seconds": seconds,
    "milliseconds": milliseconds,
    "night": night,
    "counted": counted,
    "oclass": outcome_class,
    "shorten": shorten,
    "board_file": board_file,
    "quantity": format_quantity,
    "file_stem": file_stem,
}
