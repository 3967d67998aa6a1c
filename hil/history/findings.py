"""What a analysis is told: each answer as data, and as the line that people read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hil.history.nights import day_of

if TYPE_CHECKING:
    from hil.history.attribution import Counts, Suspicion

__all__ = ["AlwaysSkipped", "Analysis", "Failing", "Flaky", "Slower", "TiedToBoard"]


_FEWEST_OF_RATE = 5
"""Of fewer runs the interval of a rate is nearly everything, and says nothing."""


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

    @property
    def is_file(self) -> bool:
        """Whether it stands for the tests of a file that could not be collected: they are not known."""
        return "::" not in self.test

    def __str__(self) -> str:
        since = "new" if self.is_new else f"since {day_of(self.since_s)}, {self.runs} runs"
        commits = f", passed at {self.commit_before[:10]}, fails at {self.commit[:10]}"
        changed = self.commit_before and self.commit_before != self.commit
        fails = "could not be collected" if self.is_file else "fails"
        words = f"{self.test}: {fails}, {since}{commits if changed else ''}"
        return f"{words}; {self.suspicion}" if self.suspicion else words


@dataclass(frozen=True, slots=True)
class Flaky:
    """A test that fails now and then, which no board explains.

    Attributes:
        test: Its node id.
        counts: Runs that had a failed attempt, and all.
        low: Lower end of the rate, with 95 % confidence.
        high: Upper end.
        fails_now: Whether it failed in the newest run.
    """

    test: str
    counts: Counts
    low: float
    high: float
    fails_now: bool = False

    def __str__(self) -> str:
        now = ", now too" if self.fails_now else ""
        rate = f"{self.counts.rate:.0%}"
        if self.counts.ran >= _FEWEST_OF_RATE:
            rate += f"; its true rate is {self.low:.0%} to {self.high:.0%}, with 95 % confidence"
        return f"{self.test}: flaky, failed in {self.counts.failed} of {self.counts.ran} runs ({rate}){now}"


@dataclass(frozen=True, slots=True)
class TiedToBoard:
    """A test that fails now and then, as the board wants it.

    Attributes:
        test: Its node id.
        suspicion: Which board.
    """

    test: str
    suspicion: Suspicion

    def __str__(self) -> str:
        return f"{self.test}: {self.suspicion}"


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
class AlwaysSkipped:
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
class Analysis:
    """All the answers.

    Attributes:
        runs: How many runs they are from.
        last: Attempts of the newest run by outcome.
        simulated: Whether the newest run had simulated boards alone; it is compared with such runs.
        nights: What was wrong with whole nights.
        no_board: Tests that failed in the newest run because their board could not be used.
        boards: Boards that fail tests more often than others do.
        there: Tests that fail now, but on such a board alone.
        failing: Other tests that fail now; those that are new first.
        tied: Tests that pass now, and fail on one board.
        fixed: Tests that failed in the run before and pass now.
        flaky: Tests that fail now and then.
        slower: Tests that take longer.
        skipping: Tests that no longer run.
    """

    runs: int
    last: dict[str, int]
    simulated: bool = False
    nights: list[str] = field(default_factory=list)
    no_board: list[str] = field(default_factory=list)
    boards: list[Suspicion] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    failing: list[Failing] = field(default_factory=list)
    tied: list[TiedToBoard] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    flaky: list[Flaky] = field(default_factory=list)
    slower: list[Slower] = field(default_factory=list)
    skipping: list[AlwaysSkipped] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """As people read it, the loud things first."""
        tally = ", ".join(f"{count} {name}" for name, count in self.last.items()) or "nothing ran"
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        where = ", on SIMULATED boards" if self.simulated else ""
        parts: list[object] = [f"{runs}; the newest{where}: {tally}"]
        parts += [*self.nights, *self.boards]
        parts += (
            [f"without a board, the bench is at fault: {', '.join(self.no_board)}"] if self.no_board else []
        )
        parts += [f"fail now, on that board alone: {', '.join(self.there)}"] if self.there else []
        parts += [*self.failing, *self.tied]
        parts += [f"{test}: fixed" for test in self.fixed]
        parts += [*self.skipping, *self.flaky, *self.slower]
        return [str(part) for part in parts]
