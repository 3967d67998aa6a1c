"""What a morning wants to know of the nights: new, fixed, flaky, slower, never run; and whose fault it is."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hil.history.attribution import Counts, Suspicion, suspect, suspect_test
from hil.history.facts import Outcome
from hil.history.nights import day_of, missing_nights, wrong_with_newest
from hil.history.statistics import slower_p, wilson

if TYPE_CHECKING:
    from hil.history.window import Result, Window

__all__ = ["Failing", "Flaky", "Morning", "Skipping", "Slower", "ask"]

_NEWEST_RUNS = 10
"""How many runs say how long a test takes now."""

_PREFILTER = 1.05
_SLOWER = 1.1
_SLOWER_P = 0.01
_SKIPPED_RUNS = 3
_FLAKY_SPELLS = 2


@dataclass(frozen=True, slots=True)
class Failing:
    """A test that fails in the newest run.

    Attributes:
        test: Its node id.
        runs: In how many runs in a row, up to now.
        since_s: When the first of them began, in seconds since 1970.
        commit: The commit of that run.
        commit_before: That of the last run in which it passed; empty: it never did.
        suspicion: What its failures follow, if anything.
    """

    test: str
    runs: int
    since_s: float
    commit: str
    commit_before: str
    suspicion: Suspicion | None

    @property
    def is_new(self) -> bool:
        """Whether it began with the newest run."""
        return self.runs == 1

    def __str__(self) -> str:
        since = "new" if self.is_new else f"since {day_of(self.since_s)}, {self.runs} runs"
        commits = f", passed at {self.commit_before[:10]}, fails at {self.commit[:10]}"
        changed = self.commit_before and self.commit_before != self.commit
        words = f"{self.test}: fails, {since}{commits if changed else ''}"
        return f"{words}; {self.suspicion}" if self.suspicion else words


@dataclass(frozen=True, slots=True)
class Flaky:
    """A test that fails now and then, which no board explains.

    Attributes:
        test: Its node id.
        counts: Runs that had a failed attempt, and all.
        low: Lower end of the rate, with 95 % confidence.
        high: Upper end.
    """

    test: str
    counts: Counts
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.test}: flaky, failed in {self.counts.failed} of {self.counts.ran} runs "
            f"({self.counts.rate:.0%}; {self.low:.0%} to {self.high:.0%} with 95 % confidence)"
        )


@dataclass(frozen=True, slots=True)
class Slower:
    """A test that takes longer than it did.

    Attributes:
        test: Its node id.
        earlier_s: Median time of its body in the oldest runs.
        later_s: In the newest.
        p: The probability of a coincidence, all tests counted.
    """

    test: str
    earlier_s: float
    later_s: float
    p: float

    def __str__(self) -> str:
        times = self.later_s / self.earlier_s
        return f"{self.test}: slower, {self.earlier_s:.2f} s became {self.later_s:.2f} s ({times - 1:+.0%})"


@dataclass(frozen=True, slots=True)
class Skipping:
    """A test that has been skipped for some time.

    Attributes:
        test: Its node id.
        runs: In how many runs in a row, up to now.
        since_s: When the first of them began.
        verdict: Why its hardware could not be used; empty: it skipped itself.
    """

    test: str
    runs: int
    since_s: float
    verdict: str

    def __str__(self) -> str:
        why = f" ({self.verdict})" if self.verdict else ""
        return f"{self.test}: always skipped since {day_of(self.since_s)}, {self.runs} runs{why}"


@dataclass
class Morning:
    """All the answers.

    Attributes:
        runs: How many runs they are from.
        last: Attempts of the newest run by outcome.
        nights: What was wrong with whole nights.
        boards: Boards that fail tests more often than others do.
        there: Tests that fail now, but on such a board alone.
        failing: Other tests that fail now; those that are new first.
        fixed: Tests that failed in the run before and pass now.
        flaky: Tests that fail now and then.
        slower: Tests that take longer.
        skipping: Tests that no longer run.
    """

    runs: int
    last: dict[str, int]
    nights: list[str] = field(default_factory=list)
    boards: list[Suspicion] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    failing: list[Failing] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    flaky: list[Flaky] = field(default_factory=list)
    slower: list[Slower] = field(default_factory=list)
    skipping: list[Skipping] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """As people read it, the loud things first."""
        tally = ", ".join(f"{count} {name}" for name, count in self.last.items()) or "nothing ran"
        parts: list[object] = [f"{self.runs} runs; the newest: {tally}"]
        parts += [*self.nights, *self.boards]
        parts += [f"fail now, on that board alone: {', '.join(self.there)}"] if self.there else []
        parts += self.failing
        parts += [f"{test}: fixed" for test in self.fixed]
        parts += [*self.skipping, *self.flaky, *self.slower]
        return [str(part) for part in parts]


def ask(window: Window, now_s: float | None = None) -> Morning:
    """Answer everything.

    Args:
        window: Which runs.
        now_s: Seconds since 1970; None: now. A night that is late by now is missing.
    """
    morning = Morning(len(window.runs), window.last_counts())
    morning.nights = [*missing_nights(window.runs, now_s), *wrong_with_newest(window)]
    board = suspect({"board": window.boards})
    morning.boards = [board] if board else []
    bad_boards = {one.value for one in morning.boards}
    for test, results in window.results.items():
        _judge(window, test, results, bad_boards, morning)
    morning.failing.sort(key=lambda one: (one.runs, one.test))
    morning.skipping = _skipping(window)
    morning.slower = _slower(window)
    return morning


def _judge(window: Window, test: int, results: list[Result], bad_boards: set[str], morning: Morning) -> None:
    """Say of one test whether it is failing, fixed or flaky; what a bad board explains is not the test's."""
    name, newest = window.failing_tests[test], len(window.runs) - 1
    ran = [one for one in results if one.outcome is not Outcome.SKIPPED]
    fair = [one for one in ran if one.board not in bad_boards]
    if ran and ran[-1].run == newest and ran[-1].outcome.is_failure:
        if fair and not fair[-1].outcome.is_failure and ran[-1].board in bad_boards:
            morning.there.append(name)
        else:
            morning.failing.append(_failing(window, test, fair or ran))
        return
    spells = [bad for bad, _ in groupby(fair, key=lambda one: one.failed_attempts > 0) if bad]
    short = all(sum(1 for _ in group) <= _SKIPPED_RUNS for bad, group in _spells(fair) if bad)
    if any(one.is_flaky for one in fair) or (len(spells) >= _FLAKY_SPELLS and short):
        counts = Counts(sum(one.failed_attempts > 0 for one in fair), len(fair))
        morning.flaky.append(Flaky(name, counts, *wilson(counts.failed, counts.ran)))
    elif len(ran) > 1 and ran[-1].run == newest and ran[-2].outcome.is_failure and ran[-2] in fair:
        morning.fixed.append(name)


def _spells(results: list[Result]) -> list[tuple[bool, list[Result]]]:
    return [(bad, list(group)) for bad, group in groupby(results, key=lambda one: one.failed_attempts > 0)]


def _failing(window: Window, test: int, ran: list[Result]) -> Failing:
    streak = next((at for at, one in enumerate(reversed(ran)) if not one.outcome.is_failure), len(ran))
    first = window.runs[ran[-streak].run]
    before = window.runs[ran[-streak - 1].run] if streak < len(ran) else None
    boards = window.by_board(test)
    counts = sum(boards.values(), Counts())
    follows = suspect({"board": boards, "image": window.by_image(test)})
    return Failing(
        test=window.failing_tests[test],
        runs=streak,
        since_s=first.began_s,
        commit=first.commit,
        commit_before=before.commit if before else "",
        suspicion=follows or suspect_test(window.failing_tests[test], counts, window.everything),
    )


def _skipping(window: Window) -> list[Skipping]:
    found = []
    for test, (name, verdict) in window.skipped_last().items():
        outcomes = window.outcomes(test)
        skipped = next(
            (at for at, (_, one) in enumerate(reversed(outcomes)) if one is not Outcome.SKIPPED),
            len(outcomes),
        )
        if skipped >= _SKIPPED_RUNS:
            since_s = window.runs[outcomes[-skipped][0]].began_s
            found.append(Skipping(name, skipped, since_s, verdict))
    return sorted(found, key=lambda one: one.test)


def _slower(window: Window) -> list[Slower]:
    candidates = window.much_longer(_NEWEST_RUNS, _PREFILTER)
    found = []
    for test, name in candidates.items():
        times_s = window.call_times_s(test)
        earlier, later = times_s[:_NEWEST_RUNS], times_s[-_NEWEST_RUNS:]
        if len(times_s) < 2 * _NEWEST_RUNS:
            continue
        p = slower_p(earlier, later) * max(1, len(candidates))
        one = Slower(name, statistics.median(earlier), statistics.median(later), min(1.0, p))
        if one.earlier_s > 0 and one.later_s >= _SLOWER * one.earlier_s and p < _SLOWER_P:
            found.append(one)
    return sorted(found, key=lambda one: one.later_s / one.earlier_s, reverse=True)
