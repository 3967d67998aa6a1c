"""Find the tests that take longer than before."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from hil.history.findings import Slower
from hil.history.schema import AttemptOutcome
from hil.history.statistics import slower_p

if TYPE_CHECKING:
    from hil.history.window import Window

__all__ = ["find_slower"]

_NEWEST_RUNS = 10
"""Number of newest runs that tell how long a test takes now."""

_PREFILTER = 1.05
_SLOWER = 1.1
_SLOWER_P = 0.01


def find_slower(window: Window) -> list[Slower]:
    """Return the tests that take longer than before, the most slowed down first."""
    candidates = _possibly_slower(window)
    found = []
    for test, name in candidates.items():
        times_s = _call_times_s(window, test)
        earlier, later = times_s[:_NEWEST_RUNS], times_s[-_NEWEST_RUNS:]
        if len(times_s) < 2 * _NEWEST_RUNS:
            continue
        p = slower_p(earlier, later) * max(1, len(candidates))
        one = Slower(name, statistics.median(earlier), statistics.median(later), min(1.0, p))
        if one.earlier_s > 0 and one.later_s >= _SLOWER * one.earlier_s and p < _SLOWER_P:
            found.append(one)
    return sorted(found, key=lambda one: one.later_s / one.earlier_s, reverse=True)


def _possibly_slower(window: Window) -> dict[int, str]:
    """Return tests that may have become slower: node ids by number.

    A test is one of them if its mean duration, where it passed, rose in the newest runs by `_PREFILTER`, and
    by more than one standard error of its scatter. This is a first look: it samples every fifth earlier run.
    """
    if len(window.runs) < 2 * _NEWEST_RUNS:
        return {}
    mean = (
        "SELECT test_id, avg(call_s) AS mean{} "
        f"FROM attempt WHERE outcome={AttemptOutcome.PASSED:d} AND {window.like_newest} AND run_id IN ({{}}) "
        "GROUP BY test_id"
    )
    variance = ", avg(call_s * call_s) - avg(call_s) * avg(call_s) AS variance"
    later = mean.format("", ",".join(map(str, window.numbers[-_NEWEST_RUNS:])))
    earlier = mean.format(variance, ",".join(map(str, window.numbers[:-_NEWEST_RUNS:5])))
    rows = window.query(
        f"SELECT id, nodeid FROM ({later}) AS later JOIN ({earlier}) AS earlier USING(test_id) "
        "JOIN test ON test.id=test_id WHERE later.mean > earlier.mean * ?1 "
        "AND (later.mean - earlier.mean) * (later.mean - earlier.mean) * ?2 > earlier.variance",
        (_PREFILTER, _NEWEST_RUNS),
    )
    return dict(rows)


def _call_times_s(window: Window, test: int) -> list[float]:
    """Return how long the body of a test took in each run where it passed, in seconds, oldest first."""
    rows = window.query(
        f"SELECT run_id, call_s FROM attempt WHERE test_id=? AND run_id IN {window.within} "
        f"AND {window.like_newest} AND outcome={AttemptOutcome.PASSED:d}",
        (test,),
    )
    return [seconds for _, seconds in sorted((window.position[run], seconds) for run, seconds in rows)]
