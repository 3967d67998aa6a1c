"""Suspect a board, an image or a test of failures, if they follow it more than chance explains."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from hil.history.statistics import fisher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "SURE_P",
    "TEST",
    "Counts",
    "Everywhere",
    "Suspicion",
    "all_of",
    "contrast",
    "fails_more",
    "joined_builds",
    "merged_builds",
    "power_of_ten",
    "seen_once",
    "suspect",
    "suspect_test",
    "without_alike",
]

TEST = "test"
"""The factor for failures that follow the test itself."""

SURE_P = 1e-3
"""Maximum probability of a coincidence, corrected for the number of values compared (Bonferroni)."""

_FEWEST_FAILURES = 3
_TIMES_AS_OFTEN = 3.0
_PREPOSITIONS = {"board": "on", "image": "with image"}


@dataclass(frozen=True, slots=True)
class Counts:
    """How often something failed, and how often it ran."""

    failed: int = 0
    ran: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.failed + other.failed, self.ran + other.ran)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.failed - other.failed, self.ran - other.ran)

    @property
    def rate(self) -> float:
        """Failures per run; 0 if nothing ran."""
        return self.failed / self.ran if self.ran else 0.0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Failures that follow one value of a factor.

    Attributes:
        factor: `board`, `image` or `test`.
        value: The board, image or test.
        here: Counts of the runs with it.
        elsewhere: Counts of the runs without it.
        p: Probability of a coincidence, corrected for the number of values compared.
        label: How people know the value; empty for the value itself.
        runs: In how many runs it failed; None if that is not known.
    """

    factor: str
    value: str
    here: Counts
    elsewhere: Counts
    p: float
    label: str = ""
    runs: int | None = None

    def __str__(self) -> str:
        here, others = self.here, self.elsewhere
        if self.factor == TEST:
            return (
                f"fails wherever it runs: {here.failed} of {here.ran}, other tests {others.failed} of "
                f"{others.ran}, p = {power_of_ten(self.p)}: look at the test, and at what it tests"
            )
        only = "only" if others.failed == 0 else "mostly"
        return (
            f"fails {_PREPOSITIONS[self.factor]} {self.label or self.value} {only}: "
            f"{here.failed} of {here.ran} there, {others.failed} of {others.ran} elsewhere, "
            f"p = {power_of_ten(self.p)}: "
            + (seen_once(self.factor) if self.runs == 1 else f"look at the {self.factor}")
        )


@dataclass(frozen=True, slots=True)
class Everywhere:
    """A test that failed in one run on each of its boards and with each of its images.

    It needs no statistics, as it claims no cause: neither a board nor an image tells failures from passes.

    Attributes:
        value: Its node id without board and image.
        boards: Number of boards.
        images: Number of images.
    """

    value: str
    boards: int
    images: int

    def __str__(self) -> str:
        parts = [("on", self.boards, "boards"), ("with", self.images, "images")]
        where = [f"{word} {all_of(number)} {what}" for word, number, what in parts if number > 1]
        return f"fails {' '.join(where)}: look at the test, or at what it tests"


def suspect(
    factors: Mapping[str, Mapping[str, Counts]], totals: Mapping[str, Counts] | None = None
) -> Suspicion | None:
    """Return the value that the failures follow most clearly, or None if chance explains them.

    Args:
        factors: For each factor the counts by value.
        totals: The counts of all runs, for factors whose counts add up to more, as those of tests with two
            boards do.
    """
    suspicions = _compare(factors, totals)
    compared = max(1, len(suspicions))
    sure = [
        Suspicion(one.factor, one.value, one.here, one.elsewhere, min(1.0, one.p * compared))
        for one in suspicions
        if one.p * compared < SURE_P and _is_marked(one)
    ]
    return min(sure, key=lambda one: one.p, default=None)


def fails_more(here: Counts, elsewhere: Counts) -> bool:
    """Return True if something fails at least three times as often as elsewhere."""
    return elsewhere.ran > 0 and here.failed > 0 and here.rate >= _TIMES_AS_OFTEN * elsewhere.rate


def joined_builds(counts: Mapping[str, Counts], newest: str) -> list[str]:
    """Return an image and its other builds that fail about as often.

    Builds of an image differ in size or digest. Compared one by one, each broken build would hide the others,
    as it fails elsewhere, too.

    Args:
        counts: The counts by image.
        newest: The image.
    """
    name, rate = newest.partition(" (")[0], counts[newest].rate
    builds = [one for one in counts if one.partition(" (")[0] == name and one != newest]
    return [newest, *(one for one in builds if rate and _TIMES_AS_OFTEN * counts[one].rate > rate)]


def merged_builds(counts: Mapping[str, Counts], newest: str) -> dict[str, Counts]:
    """Return the counts by image, with those of the joined builds of an image as its own."""
    builds = joined_builds(counts, newest)
    here = sum((counts[one] for one in builds), Counts())
    return {newest: here} | {one: number for one, number in counts.items() if one not in builds}


def without_alike(
    counts: Mapping[str, Counts], image: str, builds: Mapping[str, Iterable[str]]
) -> dict[str, Counts]:
    """Return the counts by image without other images of a run that fail about as often.

    Args:
        counts: The counts by image.
        image: The image, which stays.
        builds: The images of the run, each with its joined builds.
    """
    rate = counts[image].rate
    alike = {
        build
        for one, those in builds.items()
        if one not in builds[image] and _TIMES_AS_OFTEN * counts[one].rate > rate
        for build in those
    } - {*builds[image]}
    return {one: number for one, number in counts.items() if one not in alike}


def contrast(factors: Mapping[str, Mapping[str, Counts]], totals: Mapping[str, Counts] | None = None) -> str:
    """Return a weak finding in words: a value with which each run failed, and no other one; empty if none.

    It is for failures that `suspect` does not attribute, as chance may explain them.

    Args:
        factors: As for `suspect`.
        totals: As for `suspect`.
    """
    compared = _compare(factors, totals)
    apart = [one for one in compared if one.here.failed == one.here.ran and not one.elsewhere.failed]
    best = min(apart, key=lambda one: (one.p, one.factor), default=None)
    if best is None:
        return ""
    return (
        f"failed {_PREPOSITIONS[best.factor]} {best.value} alone so far, {best.here.failed} of "
        f"{best.here.ran} there, 0 of {best.elsewhere.ran} elsewhere: not enough runs to say whether the "
        f"{best.factor} or the test is at fault ({_enough(best, len(compared))} times as many with the same "
        "outcome are enough)"
    )


def suspect_test(test: str, here: Counts, everything: Counts) -> Suspicion | None:
    """Return a suspicion against a test that fails wherever it runs, or None if chance explains its failures.

    Args:
        test: Its node id.
        here: Counts of its own runs.
        everything: Counts of all tests.
    """
    others = everything - here
    if not others.ran:
        return None
    one = Suspicion(TEST, test, here, others, fisher(here.failed, here.ran, others.failed, others.ran))
    return one if one.p < SURE_P and _is_marked(one) else None


def _enough(one: Suspicion, compared: int) -> int:
    """Return how many times as many runs `suspect` needs, if failures stay as they are."""
    here, elsewhere = one.here, one.elsewhere
    return next(
        times
        for times in count(1)
        if times * here.failed >= _FEWEST_FAILURES
        and fisher(times * here.failed, times * here.ran, 0, times * elsewhere.ran) * compared < SURE_P
    )


def count_of(number: int, outcome: str) -> str:
    """Return `3 passed` or `8 errors`."""
    return f"{number} {outcome}{'s' if outcome == 'error' and number != 1 else ''}"


def all_of(number: int) -> str:
    """Return `both`, or `all` with the number."""
    return "both" if number == 2 else f"all {number}"  # noqa: PLR2004 - both


def seen_once(factor: str) -> str:
    """Return what to say of failures of one run."""
    return f"seen in one run, another one tells whether the {factor} or the tests are at fault"


def _is_marked(one: Suspicion) -> bool:
    return one.here.failed >= _FEWEST_FAILURES and one.here.rate >= _TIMES_AS_OFTEN * one.elsewhere.rate


def power_of_ten(p: float) -> str:
    """Return a probability with one digit, as 6e-6."""
    if p < sys.float_info.min:
        return "0"
    mantissa, _, exponent = f"{p:.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _compare(
    factors: Mapping[str, Mapping[str, Counts]], totals: Mapping[str, Counts] | None
) -> list[Suspicion]:
    """Return each value of each factor, compared with the runs without it."""
    of_all = totals or {}
    return [one for factor, counts in factors.items() for one in _of(factor, counts, of_all.get(factor))]


def _of(factor: str, counts: Mapping[str, Counts], everything: Counts | None) -> Iterable[Suspicion]:
    everything = sum(counts.values(), Counts()) if everything is None else everything
    for value, here in counts.items():
        elsewhere = everything - here
        if elsewhere.ran and here.ran:
            p = fisher(here.failed, here.ran, elsewhere.failed, elsewhere.ran)
            yield Suspicion(factor, value, here, elsewhere, p)
