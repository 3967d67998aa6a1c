"""Find since when a test fails: its first bad run and its last good one, with their commits and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.history.findings import Failing
from hil.history.suspects import Suspicion, suspect_test

if TYPE_CHECKING:
    from hil.history.window import Result, Window

__all__ = ["failing_since", "streak"]

_SURE_STREAK = 3
"""This many failures in a row are not by chance."""

_SURE_BOARDS = 3
"""Nor are failures on this many boards in one night."""


def failing_since(
    window: Window, test: int, ran: list[Result], follows: Suspicion | None, without: set[str]
) -> Failing:
    """Return since when a test fails, and what its failures follow.

    Args:
        window: The runs.
        test: The number of the test, which fails in the newest run.
        ran: The results that count, oldest first.
        follows: What the failures follow, if anything.
        without: Bad boards, of which no hint is given.
    """
    if follows is not None and follows.factor == "board":
        ran = [one for one in ran if follows.value in one.boards] or ran
    bad = streak(ran)
    if follows is None and (bad >= _SURE_STREAK or window.fails_on_boards(test) >= _SURE_BOARDS):
        counts = window.counts_of(test)
        follows = suspect_test(window.failing_tests[test], counts, window.everything)
    first = window.runs[ran[-bad].run]
    before = window.runs[ran[-bad - 1].run] if bad < len(ran) else None
    return Failing(
        test=window.failing_tests[test],
        runs=bad,
        since_s=first.began_s,
        commit=first.commit,
        commit_before=before.commit if before else "",
        image=ran[-bad].image,
        image_before=ran[-bad - 1].image if before else "",
        suspicion=follows,
        hint="" if follows is not None else window.contrast_of(test, without),
        everywhere=window.fails_everywhere(test),
        image_now=ran[-1].image,
    )


def streak(ran: list[Result]) -> int:
    """Return the number of failures in a row, up to the newest run."""
    return next((at for at, one in enumerate(reversed(ran)) if not one.outcome.is_failure), len(ran))
