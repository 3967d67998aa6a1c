"""How long tests take, and which of them became slower."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hil.history.newest_runs import AHEAD_S
from hil.history.schema import AttemptOutcome

if TYPE_CHECKING:
    from hil.history.store import History
    from hil.history.window import Window

__all__ = ["call_times_s", "mean_durations_s", "possibly_slower"]


def mean_durations_s(history: History, newest: int = 10) -> dict[str, float]:
    """Return the mean duration of each test in the newest runs, in seconds; skips do not count."""
    rows = history.read(
        "SELECT nodeid, avg(setup_s + call_s + teardown_s) FROM attempt JOIN test ON test.id=test_id "
        "WHERE run_id IN (SELECT id FROM run WHERE began_s <= ? ORDER BY began_s DESC LIMIT ?) "
        f"AND outcome != {AttemptOutcome.SKIPPED:d} GROUP BY test_id",
        (time.time() + AHEAD_S, newest),
    )
    return dict(rows)


def possibly_slower(window: Window, newest: int, factor: float) -> dict[int, str]:
    """Return tests that may have become slower: node ids by number.

    A test is one of them if its mean duration, where it passed, rose in the newest runs by `factor`, and by
    more than one standard error of its scatter. This is a first look: it samples every fifth earlier run.

    Args:
        window: The runs.
        newest: How many of them count as the newest ones.
        factor: The least ratio between the means of the newest and the earlier runs.
    """
    if len(window.runs) < 2 * newest:
        return {}
    mean = (
        "SELECT test_id, avg(call_s) AS mean{} "
        f"FROM attempt WHERE outcome={AttemptOutcome.PASSED:d} AND {window.like_newest} AND run_id IN ({{}}) "
        "GROUP BY test_id"
    )
    variance = ", avg(call_s * call_s) - avg(call_s) * avg(call_s) AS variance"
    later = mean.format("", ",".join(map(str, window.numbers[-newest:])))
    earlier = mean.format(variance, ",".join(map(str, window.numbers[:-newest:5])))
    rows = window.query(
        f"SELECT id, nodeid FROM ({later}) AS later JOIN ({earlier}) AS earlier USING(test_id) "
        "JOIN test ON test.id=test_id WHERE later.mean > earlier.mean * ?1 "
        "AND (later.mean - earlier.mean) * (later.mean - earlier.mean) * ?2 > earlier.variance",
        (factor, newest),
    )
    return dict(rows)


def call_times_s(window: Window, test: int) -> list[float]:
    """Return how long the body of a test took in each run where it passed, in seconds, oldest first."""
    rows = window.query(
        f"SELECT run_id, call_s FROM attempt WHERE test_id=? AND run_id IN {window.within} "
        f"AND {window.like_newest} AND outcome={AttemptOutcome.PASSED:d}",
        (test,),
    )
    return [seconds for _, seconds in sorted((window.position[run], seconds) for run, seconds in rows)]
