"""Find the most likely change in a series of values: a step, or a drift that begins somewhere and goes on.

Both are tried at every place, by least squares. The significance of the best one is that of normal scores,
which depend on ranks alone (B. L. van der Waerden, 1952), so that outliers and skewed values are no change:
Student's t, multiplied by the number of places (Bonferroni), with fewer degrees of freedom if neighbours are
alike.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from hil.dutlink.power.statistics import student_tail
from hil.history.statistics import ranks_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["LEAST_VALUES", "Change", "find_change", "fit_change"]

LEAST_VALUES: Final = 10
"""With fewer values no change is found."""

_LEAST_SIDE: Final = 5
"""A step has at least this many values on each side: fewer may be outliers."""

_AS_LIKELY: Final = 2.0
"""Places whose log-likelihood is less than this below the best one's are about as likely."""

_FAR: Final = 2.5 * 1.4826
"""Median absolute deviations at which a value is an outlier: 2.5 standard deviations of normal values."""

_LEAST_T: Final = 3.0
"""Student's t of the best of many places is about this by chance."""

_MOST_CORRELATION: Final = 0.6
"""Neighbours that are more alike are taken for a change."""

_ROUNDING: Final = 1e-12
_NORMAL: Final = statistics.NormalDist()


@dataclass(frozen=True, slots=True)
class Change:
    """A change in a series.

    Attributes:
        is_step: Whether it is a step; else a drift that goes on until the end.
        begin: Time of the first value after the step, or of the last value before the drift.
        end: Time of the last value.
        shift: The values' change from the beginning to the end.
        noise: Standard deviation of the values without the change.
        p: Probability of a coincidence.
    """

    is_step: bool
    begin: float
    end: float
    shift: float = 0.0
    noise: float = 0.0
    p: float = 1.0

    def share(self, time: float) -> float:
        """Return how much of the shift a value of some time has, from 0 to 1."""
        if self.is_step:
            return float(time >= self.begin)
        return min(1.0, max(0.0, (time - self.begin) / (self.end - self.begin)))


def find_change(
    times: Sequence[float], values: Sequence[float], marks: Collection[float] = ()
) -> Change | None:
    """Return the most likely change in a series, or None if it is too short or constant.

    Args:
        times: The times of the values, ascending, such as the numbers of their nights.
        values: The values.
        marks: Times from which something else changed; a step is there rather than beside it.
    """
    if len(values) < LEAST_VALUES or min(values) == max(values):
        return None
    first = _most_likely(times, values, marks)
    if first is None:
        return None
    shares = [first.share(time) for time in times]
    best = _most_likely(times, _without_outliers(values, first.shift, shares), marks) or first
    found = fit_change(times, values, best)
    if not (best.is_step or _lasts(times, values, found)):
        return None
    places = 2 * (len(values) - LEAST_VALUES + 1)
    return replace(found, shift=best.shift, noise=best.noise, p=min(1.0, found.p * places))


def _lasts(times: Sequence[float], values: Sequence[float], drift: Change) -> bool:
    """Return True if a drift shows without the newest values, too few of which make a step."""
    earlier = fit_change(times[: 1 - _LEAST_SIDE], values[: 1 - _LEAST_SIDE], drift)
    return earlier.shift * drift.shift > drift.shift * drift.shift / 2


def fit_change(times: Sequence[float], values: Sequence[float], like: Change) -> Change:
    """Return a change of the form and time of another one, with shift and probability of these values."""
    shares = [like.share(time) for time in times]
    shift, rest = _line(values, shares)
    noise = math.sqrt(math.fsum(one * one for one in rest) / (len(values) - 2))
    p = _p(_scores(values), _scores(shares), _independence(rest))
    return replace(like, shift=shift, noise=noise, p=p)


def _most_likely(times: Sequence[float], values: Sequence[float], marks: Collection[float]) -> Change | None:
    """Return the change that explains most, or None if none explains more than chance does."""
    mean = statistics.fmean(values)
    apart = [value - mean for value in values]
    total = math.fsum(one * one for one in apart)
    steps, ramps = _explained_by_steps(times, apart), _explained_by_ramps(times, apart)
    step, ramp = _best_step(steps, marks, total), max(ramps, key=ramps.__getitem__)
    is_step = steps[step] >= ramps[ramp]
    explained = max(steps[step], ramps[ramp])
    if explained * (len(values) - 2) < _LEAST_T * _LEAST_T * (total - explained):
        return None
    like = Change(is_step, step if is_step else ramp, times[-1])
    shift, rest = _line(values, [like.share(time) for time in times])
    return replace(
        like, shift=shift, noise=math.sqrt(math.fsum(one * one for one in rest) / (len(values) - 2))
    )


def _scores(values: Sequence[float]) -> list[float]:
    """Return the values' normal scores, of mean 0."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, _ = ranks_of([values[index] for index in order])
    scores = [0.0] * len(values)
    for index, rank in zip(order, ranks, strict=True):
        scores[index] = _NORMAL.inv_cdf(rank / (len(values) + 1))
    mean = math.fsum(scores) / len(scores)
    return [one - mean for one in scores]


def _line(values: Sequence[float], shares: Sequence[float]) -> tuple[float, list[float]]:
    """Return slope and residuals of a fit by least squares."""
    mean, middle = statistics.fmean(values), statistics.fmean(shares)
    apart = [share - middle for share in shares]
    spread = math.fsum(one * one for one in apart)
    products = math.fsum(value * one for value, one in zip(values, apart, strict=True))
    slope = products / spread if spread else 0.0
    return slope, [value - mean - slope * one for value, one in zip(values, apart, strict=True)]


def _p(values: Sequence[float], shares: Sequence[float], independence: float) -> float:
    """Return the probability, in both directions, that values of mean 0 follow shares of mean 0 by chance."""
    squares, spread = (math.fsum(one * one for one in some) for some in (values, shares))
    products = math.fsum(a * b for a, b in zip(values, shares, strict=True))
    if not spread or not squares:
        return 1.0
    explained = min(1.0, products * products / (squares * spread))
    if 1 - explained < _ROUNDING:
        return 0.0
    freedom = max(1.0, len(values) * independence - 2)
    return 2 * student_tail(math.sqrt(freedom * explained / (1 - explained)), freedom)


def _independence(rest: Sequence[float]) -> float:
    """Return the share of values that count as independent, by the correlation of neighbours."""
    squares = math.fsum(one * one for one in rest)
    correlation = math.fsum(a * b for a, b in pairwise(rest)) / squares if squares else 0.0
    correlation = min(max(correlation - 1 / math.sqrt(len(rest)), 0.0), _MOST_CORRELATION)
    return (1 - correlation) / (1 + correlation)


def _without_outliers(values: Sequence[float], shift: float, shares: Sequence[float]) -> list[float]:
    """Move values that are far from a change to a moderate distance."""
    rest = [value - shift * share for value, share in zip(values, shares, strict=True)]
    middle = statistics.median(rest)
    far = _FAR * statistics.median(abs(one - middle) for one in rest)
    if not far:
        return list(values)
    moved = (min(max(one, middle - far), middle + far) for one in rest)
    return [one + shift * share for one, share in zip(moved, shares, strict=True)]


def _explained_by_steps(times: Sequence[float], apart: Sequence[float]) -> dict[float, float]:
    """Return the sum of squares that a step at each time explains."""
    length, before, found = len(apart), 0.0, {}
    for at, one in enumerate(apart):
        if _LEAST_SIDE <= at <= length - _LEAST_SIDE:
            found[times[at]] = before * before * length / (at * (length - at))
        before += one
    return found


def _explained_by_ramps(times: Sequence[float], apart: Sequence[float]) -> dict[float, float]:
    """Return the sum of squares that a drift from each time on explains."""
    length, found = len(apart), {}
    sum_t = sum_tt = sum_y = sum_ty = 0.0  # over the values after that time, whose distance is t
    for at in range(length - 2, -1, -1):
        step = times[at + 1] - times[at]
        after = length - 1 - at
        sum_y += apart[at + 1]
        sum_ty += step * sum_y
        sum_tt += 2 * step * sum_t + after * step * step
        sum_t += after * step
        if after + 1 >= LEAST_VALUES:
            found[times[at]] = sum_ty * sum_ty / (sum_tt - sum_t * sum_t / length)
    return found


def _best_step(steps: dict[float, float], marks: Collection[float], total: float) -> float:
    """Return the time of the best step; a mark, if it is about as likely."""
    best = max(steps, key=steps.__getitem__)
    left = max(total - steps[best], _ROUNDING * total)
    allowed = total - left * math.exp(2 * _AS_LIKELY / len(steps))
    marked = [at for at in steps if at in marks and steps[at] >= allowed]
    return best if best in marks else max(marked, key=steps.__getitem__, default=best)
