"""Test whether two series of power readings differ: Welch's test on readings that share no sample.

Readings two seconds apart come from different samples (the meter averages 200 of them, one each 10 ms). The
remaining correlation is the DUT's own. It is estimated, and makes the effective number of readings smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ALPHA", "Comparison", "compare", "independent", "student_tail"]

ALPHA = 0.001
"""The probability at most that equal powers are found different by chance, in each direction."""

_LEAST = 3
_ROUNDING_VARIANCE = 0.01**2 / 12
"""The variance by rounding of the board's reply in watts, which has two decimals."""
_TERMS = 300
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome of a comparison.

    Attributes:
        watts: Mean power.
        baseline_watts: Mean power of the baseline.
        effective: Effective number of independent readings.
        baseline_effective: The same of the baseline.
        p_rise: The probability that chance alone makes the power at least that much higher.
        p_fall: The probability that chance alone makes it at least that much lower.
        least_watts: The meter's smallest step; a smaller difference does not count.
    """

    watts: float
    baseline_watts: float
    effective: float
    baseline_effective: float
    p_rise: float
    p_fall: float
    least_watts: float

    @property
    def difference_watts(self) -> float:
        """The mean power minus that of the baseline."""
        return self.watts - self.baseline_watts

    @property
    def rose(self) -> bool:
        """Whether the power is higher by more than the meter's smallest step, and not by chance."""
        return self.p_rise < ALPHA and self.difference_watts > self.least_watts

    @property
    def fell(self) -> bool:
        """Whether the power is lower by more than the meter's smallest step, and not by chance."""
        return self.p_fall < ALPHA and -self.difference_watts > self.least_watts

    def __str__(self) -> str:
        verdict = "higher than" if self.rose else "lower than" if self.fell else "not told apart from"
        p = min(self.p_rise, self.p_fall)
        return f"{self.watts:z.3f} W is {verdict} {self.baseline_watts:z.3f} W (p = {p:.2g})"


def independent(times_s: Sequence[float], apart_s: float) -> list[int]:
    """Return the indices of as many readings as possible that are at least `apart_s` seconds apart."""
    chosen: list[int] = []
    for index, time_s in enumerate(times_s):
        if not chosen or time_s - times_s[chosen[-1]] >= apart_s:
            chosen.append(index)
    return chosen


def compare(mine: Sequence[float], theirs: Sequence[float], least_watts: float) -> Comparison:
    """Compare two series of independent readings, in watts.

    Raises:
        UsageError: One of them has less than three.
    """
    if min(len(mine), len(theirs)) < _LEAST:
        raise UsageError(
            "these traces are too short to be compared",
            why=f"they have {len(mine)} and {len(theirs)} independent readings; it takes {_LEAST}",
            remedy="trace for 8 s or more; 30 s tell a rise of a tenth",
        )
    mean, variance, effective = _summary(mine, least_watts)
    base, base_variance, base_effective = _summary(theirs, least_watts)
    parts = variance / effective, base_variance / base_effective
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (
        parts[0] ** 2 / max(effective - 1, 1) + parts[1] ** 2 / max(base_effective - 1, 1)
    )
    p_rise = student_tail((mean - base) / error, freedom)
    return Comparison(mean, base, effective, base_effective, p_rise, 1 - p_rise, least_watts)


def _summary(watts: Sequence[float], least_watts: float) -> tuple[float, float, float]:
    """Return the mean, the variance, and the effective number of independent readings.

    Equal readings, and readings that alternate between two neighbouring steps of the sensor, show no
    correlation of the DUT's power, so each of them counts.
    """
    count = len(watts)
    mean = math.fsum(watts) / count
    apart = [value - mean for value in watts]
    squares = math.fsum(value * value for value in apart)
    pairs = math.fsum(a * b for a, b in pairwise(apart))
    steps = count * max(_ROUNDING_VARIANCE, (least_watts / 2) ** 2)
    correlation = min(max(pairs / (squares + steps), 0.0), 0.9)
    effective = max(count * (1 - correlation) / (1 + correlation), 2.0)
    return mean, squares / (count - 1) + _ROUNDING_VARIANCE, effective


def student_tail(t: float, freedom: float) -> float:
    """Return the probability that Student's t of that many degrees of freedom is above `t`."""
    half = _beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2
    return half if t >= 0 else 1 - half


def _beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function, by its continued fraction."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, its mirror image does not
        return 1 - _beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    upper, lower, value = 1.0, 0.0, 1.0
    for step in range(_TERMS):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + step - 1) * (a + step))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + step - 1) * (a + step))
        lower = 1 / _not_zero(1 + term * lower)
        upper = _not_zero(1 + term / upper)
        value *= upper * lower
        if step and abs(1 - upper * lower) < 1e-12:  # noqa: PLR2004 - as exact as it gets
            break
    return front * (value - 1) / a


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
