"""A number that a test measured: what may be one, its limits, and its text for people."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Final

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Measurement", "breaks_limit", "check_measurement", "format_quantity"]

_LONGEST_NAME: Final = 100
_LONGEST_UNIT: Final = 20
_GREATEST: Final = 1e100
"""Squares of numbers must not overflow."""


_SCALED: Final = frozenset({"s", "W", "J", "V", "A", "Hz", "B", "Wh", "Ah", "B/s", "bit/s"})
"""Units that take the prefixes of the SI when they are shown."""

_PREFIXES: Final = {1e9: "G", 1e6: "M", 1e3: "k", 1.0: "", 1e-3: "m", 1e-6: "µ", 1e-9: "n"}
_DIGITS: Final = 4
_EXACT: Final = 1e15
"""Whole numbers below this are shown in full."""


def breaks_limit(value: float, below: float | None, above: float | None) -> bool:
    """Return True if a number is not below, or not above, a limit that is not None."""
    return (below is not None and not value < below) or (above is not None and not value > above)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number that a test measured.

    Attributes:
        name: What it is, such as `boot`; unique within the test, unless it is one of a series.
        value: The number, finite.
        unit: Its unit, such as `s`; empty for a count or a ratio.
        below: It must be less than this; None for no such limit.
        above: It must be more than this; None for no such limit.
        where: File and line of the test that measured it, if it breaks a limit; not kept.
    """

    name: str
    value: float
    unit: str
    below: float | None = None
    above: float | None = None
    where: str = field(default="", compare=False)

    @property
    def is_broken(self) -> bool:
        """Whether the number breaks a limit."""
        return breaks_limit(self.value, self.below, self.above)

    @property
    def limits(self) -> str:
        """The limits in words; empty if there are none."""
        return self._limits(lambda limit: format_quantity(limit, self.unit))

    @property
    def plain(self) -> str:
        """The number and its limits without a prefix of the unit, for programs; six digits, or whole."""
        limits = self._limits(_six_digits)
        shown = _six_digits(self.value)
        if self.is_broken and shown in map(_six_digits, filter(None, (self.below, self.above))):
            shown = repr(self.value)
        return f"{shown} {self.unit}".rstrip() + (f" ({limits})" if limits else "")

    def _limits(self, shown: Callable[[float], str]) -> str:
        told = [("above", self.above), ("below", self.below)]
        return " and ".join(f"{word} {shown(limit)}" for word, limit in told if limit is not None)

    def __str__(self) -> str:
        given = [limit for limit in (self.above, self.below) if limit is not None]
        largest = max([self.value, *given], key=abs)  # one prefix for all: 1.08 W is compared with 0.5 W
        limits = self._limits(lambda limit: format_quantity(limit, self.unit, largest))
        must = f", must be {limits}" if limits else ""
        shown = format_quantity(self.value, self.unit, largest)
        if self.is_broken and self.value not in {self.below, self.above} and shown in limits:
            shown = f"{self.value!r} {self.unit}".rstrip()  # 20.00001 s must be below 20 s
        return f"{self.name} is {shown}{must}"


def _six_digits(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"  # noqa: PLR2004 - a million has seven


def check_measurement(
    name: object, value: object, unit: object, below: object = None, above: object = None
) -> Measurement:
    """Return a measurement of what a test gave.

    Raises:
        UsageError: It is no number with a name and a unit, or no number can be within its limits.
    """
    called = _text(name, "the name of a number", _LONGEST_NAME)
    if not called:
        raise UsageError("a number has no name", remedy='measure("boot", 12.3, "s")')
    made = Measurement(
        called,
        _number(value, f"the number {called!r}"),
        _text(unit, f"the unit of {called!r}", _LONGEST_UNIT),
        None if below is None else _number(below, f"the limit below of {called!r}"),
        None if above is None else _number(above, f"the limit above of {called!r}"),
    )
    if made.below is not None and made.above is not None and made.above >= made.below:
        raise UsageError(
            f"no number can be within the limits of {called!r}",
            why=f"it must be {made.limits}",
            remedy="give above the lesser limit, and below the greater one",
        )
    return made


def format_quantity(value: float, unit: str, like: float | None = None) -> str:
    """Return a number with its unit: four digits, or a whole number; with a prefix if the unit takes one.

    Args:
        value: The number.
        unit: Its unit.
        like: The number whose prefix to take; None: the value.
    """
    factor = _factor(value if like is None else like) if unit in _SCALED else 1.0
    if unit == "s":
        factor = min(factor, 1.0)
    prefix = _PREFIXES[factor]
    return f"{_digits(value / factor)} {prefix}{unit}".rstrip()


def _factor(value: float) -> float:
    """Return the factor of the prefix that leaves one to three digits before the point."""
    if 1 <= abs(value) < 999:  # noqa: PLR2004 - most values, and thousands of them are shown
        return 1.0
    size = abs(float(f"{value:.{_DIGITS}g}"))  # 999.96 W is 1 kW
    if not size:
        return 1.0
    return next((factor for factor in _PREFIXES if size >= factor), min(_PREFIXES))


def _digits(value: float) -> str:
    if value.is_integer() and abs(value) < _EXACT:
        return f"{value:.0f}"
    short = f"{value:.{_DIGITS}g}"
    return f"{value:.0f}" if "e+" in short and abs(value) < _EXACT else short


def _text(text: object, what: str, longest: int) -> str:
    if not isinstance(text, str):
        raise UsageError(f"{what} is {text!r}", why="it must be text", remedy='measure("boot", 12.3, "s")')
    text = str(text).strip()
    if not text.isprintable() or len(text) > longest:
        raise UsageError(
            f"{what} is {text[: longest + 1]!r}",
            why=f"it must be one line of at most {longest} printable characters",
            remedy="give a shorter text; what changes from run to run belongs into the value",
        )
    return text


def _number(value: object, what: str) -> float:
    """Return a number of Python, of numpy or of `decimal` as a float.

    Raises:
        UsageError: It is another object, or infinite, or no number (NaN).
    """
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise UsageError(
            f"{what} is {value!r}, a {type(value).__name__}",
            why="only numbers can be compared over the nights",
            remedy="convert it first: float(text), int(flag), duration.total_seconds()",
        )
    try:
        number = float(value) + 0.0  # no -0.0
    except (ValueError, OverflowError):  # Decimal's signalling NaN; an integer of hundreds of digits
        number = math.nan
    if not abs(number) < _GREATEST:  # NaN is refused, too
        raise UsageError(
            f"{what} is {value}",
            why="that is no measured value",
            remedy="measure only what was read; fail the test if nothing was",
        )
    return number
