"""Readings over a time, as a power trace holds them, and the energy of the block that they cover."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hil.dutlink.power.reading import SETTLE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AMPS_PER_STEP", "GROUP_DELAY_S", "Gap", "Sample", "TraceData", "block_joules"]

AMPS_PER_STEP: Final = 0.00305
"""The smallest step of the current sensor, in amperes (firmware: powermeter.rs)."""

GROUP_DELAY_S: Final = SETTLE_S / 2
"""The delay of a reading, in seconds: it shows the power of that much earlier."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading.

    Attributes:
        monotonic_s: When it was taken, by `time.monotonic`.
        time_s: When it was taken, in seconds since 1970.
        volts: Average voltage of the last two seconds.
        amps: Average current of the last two seconds, less the board's offset if one was given.
        watts: Product of the two averages, corrected by the same offset.
    """

    monotonic_s: float
    time_s: float
    volts: float
    amps: float
    watts: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without readings, for which no values are made up.

    Attributes:
        from_s: The last reading before it, by `time.monotonic`.
        to_s: The first reading after it, or the end of the trace.
        why: The board's error, or that it was silent.
    """

    from_s: float
    to_s: float
    why: str


@dataclass(slots=True, repr=False)
class TraceData:
    """Readings in the order in which they came.

    Attributes:
        samples: The readings.
        gaps: The times without readings.
        began_s: Start of the traced block, by `time.monotonic`.
        ended_s: Its end; None while it runs.
        delay_s: How long the recording goes on after the block; the energy is counted that much later.
    """

    samples: list[Sample] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    began_s: float = 0.0
    ended_s: float | None = None
    delay_s: float = 0.0


_MOST_LATE_S: Final = 0.5
_SWITCHED: Final = 0.8
"""A supply was switched if its voltage falls below this share of its highest; a load lowers it less."""


def block_joules(samples: Sequence[Sample], began_s: float, ended_s: float) -> float | None:
    """Return the energy of a block, or None if the readings do not cover it.

    A reading is the mean of two seconds, so times two seconds it is the energy of the two seconds before it.
    The readings at the block's end, two seconds earlier, and so on add up to the energy of the block, however
    the power changed in it. The earliest of these windows begins before the block; the first reading gives
    the power of that part.

    A reading's watts are the product of two means, which is less than the mean of the products while the
    supply is switched. There the charge, which is exact, is multiplied by the highest voltage.

    Args:
        samples: The readings.
        began_s: Start of the block; the power was steady for two seconds before it.
        ended_s: Its end.
    """
    times_s = [sample.monotonic_s for sample in samples]
    if not times_s or times_s[0] > began_s + _MOST_LATE_S or times_s[-1] < ended_s or began_s >= ended_s:
        return None
    joules, end_s = 0.0, ended_s
    while end_s > began_s:
        joules += SETTLE_S * _watts_until(end_s, times_s, samples)
        end_s -= SETTLE_S
    return joules - (began_s - end_s) * _between(began_s, times_s, [sample.watts for sample in samples])


def _watts_until(end_s: float, times_s: Sequence[float], samples: Sequence[Sample]) -> float:
    """Return the mean power of the two seconds before a moment."""
    # Readings of a slow board are far apart: take one more on each side.
    first = max(0, bisect_left(times_s, end_s - SETTLE_S) - 1)
    last = bisect_right(times_s, end_s + SETTLE_S) + 1
    near, near_s = samples[first:last], times_s[first:last]
    volts = [sample.volts for sample in near]
    if min(volts) < _SWITCHED * max(volts):
        return max(volts) * _between(end_s, near_s, [sample.amps for sample in near])
    return _between(end_s, near_s, [sample.watts for sample in near])


def _between(time_s: float, times_s: Sequence[float], values: Sequence[float]) -> float:
    """Interpolate a value at a moment; before the first value, return the first."""
    after = bisect_left(times_s, time_s)
    if after == 0 or times_s[after] == time_s:
        return values[after]
    before = after - 1
    share = (time_s - times_s[before]) / (times_s[after] - times_s[before])
    return values[before] + share * (values[after] - values[before])
