"""Whose fault is it? Whether failures follow a board, an image or a test more than chance would have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.history.statistics import fisher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["SURE_P", "Counts", "Suspicion", "suspect"]

SURE_P = 1e-3
"""How improbable a coincidence must be, all that were looked at together (Bonferroni)."""

_FEWEST_FAILURES = 3
_TIMES_AS_OFTEN = 3.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How often something ran, and failed."""

    failed: int = 0
    ran: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.failed + other.failed, self.ran + other.ran)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.failed - other.failed, self.ran - other.ran)

    @property
    def rate(self) -> float:
        """Failures per run; 0 where nothing ran."""
        return self.failed / self.ran if self.ran else 0.0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Failures that follow one value of a factor.

    Attributes:
        factor: `board`, `image` or `test`.
        value: Which board, image or test.
        here: With it.
        elsewhere: Without it.
        p: The probability of a coincidence, corrected for how many values were looked at.
    """

    factor: str
    value: str
    here: Counts
    elsewhere: Counts
    p: float

    def __str__(self) -> str:
        only = "only" if self.elsewhere.failed == 0 else "mostly"
        there, others = self.here, self.elsewhere
        return (
            f"fails on {self.factor} {self.value} {only}: {there.failed} of {there.ran} there, "
            f"{others.failed} of {others.ran} elsewhere, p = {self.p:.0e}: look at the {self.factor}"
        )


def suspect(factors: Mapping[str, Mapping[str, Counts]]) -> Suspicion | None:
    """Return what the failures follow most clearly; None where chance would do.

    Args:
        factors: For each factor the counts by its values; those of one factor add up to all runs.
    """
    suspicions = [one for factor, counts in factors.items() for one in _of(factor, counts)]
    looked_at = max(1, len(suspicions))
    sure = [
        Suspicion(one.factor, one.value, one.here, one.elsewhere, min(1.0, one.p * looked_at))
        for one in suspicions
        if one.p * looked_at < SURE_P
        and one.here.failed >= _FEWEST_FAILURES
        and one.here.rate >= _TIMES_AS_OFTEN * one.elsewhere.rate
    ]
    return min(sure, key=lambda one: one.p, default=None)


def _of(factor: str, counts: Mapping[str, Counts]) -> Iterable[Suspicion]:
    everything = sum(counts.values(), Counts())
    for value, here in counts.items():
        elsewhere = everything - here
        if elsewhere.ran and here.ran:
            p = fisher(here.failed, here.ran, elsewhere.failed, elsewhere.ran)
            yield Suspicion(factor, value, here, elsewhere, p)
