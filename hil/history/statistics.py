"""Statistical tests: whether failures are a coincidence, how sure a rate is, whether times became longer."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["fisher", "ranks_of", "slower_p", "wilson"]


def fisher(failed_here: int, ran_here: int, failed_elsewhere: int, ran_elsewhere: int) -> float:
    """Return the probability of at least this many failures here if here and elsewhere were alike.

    Fisher's exact test, one-sided: R. A. Fisher, 1922; the tail of the hypergeometric distribution.
    """
    ran, failed = ran_here + ran_elsewhere, failed_here + failed_elsewhere
    most = min(failed, ran_here)
    total = _log_choose(ran, ran_here)
    logs = [
        _log_choose(failed, k) + _log_choose(ran - failed, ran_here - k) - total
        for k in range(failed_here, most + 1)
        if 0 <= ran_here - k <= ran - failed
    ]
    return min(1.0, math.fsum(math.exp(one) for one in logs))


def wilson(failed: int, ran: int, z: float = 1.96) -> tuple[float, float]:
    """Return the interval of a rate with 95 % confidence (z = 1.96): E. B. Wilson, 1927."""
    if ran == 0:
        return 0.0, 1.0
    rate, spread = failed / ran, z * z / ran
    middle = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / ran + spread / (4 * ran)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def slower_p(earlier: Sequence[float], later: Sequence[float]) -> float:
    """Return the probability that `later` is larger by this much if both were alike.

    Mann and Whitney's test, one-sided, by its normal approximation with ties counted: H. B. Mann and D. R.
    Whitney, 1947. Some eight values on each side make it usable.
    """
    n, m = len(earlier), len(later)
    if not n or not m:
        return 1.0
    everything = sorted([(value, 0) for value in earlier] + [(value, 1) for value in later])
    ranks, tied = ranks_of([value for value, _ in everything])
    u = sum(rank for rank, (_, side) in zip(ranks, everything, strict=True) if side) - m * (m + 1) / 2
    variance = n * m / 12 * ((n + m + 1) - tied / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((u - n * m / 2 - 0.5) / math.sqrt(2 * variance))


def ranks_of(values: Sequence[float]) -> tuple[list[float], float]:
    """Return the ranks of sorted values, with the mean rank for equal ones, and the ties' sum of t³-t."""
    starts = [0, *(index + 1 for index, (a, b) in enumerate(pairwise(values)) if a != b), len(values)]
    ranks: list[float] = []
    tied = 0.0
    for start, end in pairwise(starts):
        ranks += [(start + 1 + end) / 2] * (end - start)
        tied += (end - start) ** 3 - (end - start)
    return ranks, tied


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
