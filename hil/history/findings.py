"""The findings of an analysis: each as data, and as a line for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hil.history.nights import day_of
from hil.history.suspects import all_of, count_of, power_of_ten, seen_once
from hil.text_table import section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.history.numbers.drift import Drift
    from hil.history.suspects import Counts, Everywhere, Suspicion

__all__ = ["AlwaysSkipped", "Analysis", "BadImage", "Failing", "Flaky", "NotRun", "Slower", "TiedToBoard"]


_FEWEST_OF_RATE = 5
"""With fewer runs, the interval of a rate is so wide that it is not shown."""


_MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class BadImage:
    """An image of the newest run with which three or more tests fail that pass with others.

    Attributes:
        image: The image.
        builds: Number of builds of it that failed, itself among them.
        tests: The node ids of failing tests, by the node id that a test has on all boards and images.
        ran: Number of tests that ran with it in the newest run.
        boards: The boards on which they fail, as people know them.
        boards_used: Number of boards that had it in the newest run.
        runs: Number of runs in which tests failed with it.
        since_s: Start of the first of them.
        here: Counts of all runs with it.
        elsewhere: Counts of all runs with other images.
        p: Probability of a coincidence.
    """

    image: str
    builds: int
    tests: dict[str, list[str]]
    ran: int
    boards: list[str]
    boards_used: int
    runs: int
    since_s: float
    here: Counts
    elsewhere: Counts
    p: float

    @property
    def fails_all(self) -> bool:
        """Whether all tests fail that ran with it, so that their names say nothing more."""
        return len(self.tests) == self.ran

    def __str__(self) -> str:
        failed, several = len(self.tests), len(self.boards) > 1
        tests = f"{all_of(failed)} tests" if self.fails_all else f"{failed} of {self.ran} tests"
        every = several and len(self.boards) == self.boards_used
        where = f"{all_of(len(self.boards))} boards" if every else ", ".join(self.boards)
        since = "new" if self.runs == 1 else f"since {day_of(self.since_s)}, {self.runs} runs"
        builds = f" ({self.builds} builds)" if self.builds > 1 else ""
        here, others = self.here, self.elsewhere
        look = seen_once("image") if self.runs == 1 else "look at the image"
        return (
            f"{tests} fail with image {self.image}{f' on {where}' if where else ''}, {since}{builds}: "
            f"{here.failed} of {here.ran} there, {others.failed} of {others.ran} with other images, "
            f"p = {power_of_ten(self.p)}: {look}"
        )


@dataclass(frozen=True, slots=True)
class Failing:
    """A test that fails in the newest run.

    Attributes:
        test: Its node id.
        runs: Number of failing runs in a row, up to the newest.
        since_s: Start of the first of them, in seconds since 1970.
        commit: Commit of the first of them.
        commit_before: Commit of the last run in which it passed; empty if it never did.
        image: Image of the first failing run; empty if unknown.
        image_before: Image of the last run in which it passed; empty if it never did, or if unknown.
        image_now: Image of the newest run; empty if unknown.
        suspicion: What its failures follow, if anything.
        hint: What they may follow, in words, if there are not enough runs to say; else empty.
        everywhere: That it fails on all boards with all images, if it does.
        before: Of a finding about all boards and images: since when it fails on some of them; else None.
    """

    test: str
    runs: int
    since_s: float
    commit: str
    commit_before: str
    image: str
    image_before: str
    suspicion: Suspicion | None
    hint: str = ""
    everywhere: Everywhere | None = None
    image_now: str = ""
    before: Failing | None = None

    @property
    def is_new(self) -> bool:
        """Whether the newest run is the first to fail."""
        return self.runs == 1

    @property
    def is_file(self) -> bool:
        """Whether it is a file that could not be collected, in place of its tests."""
        return "::" not in self.test

    @property
    def since(self) -> str:
        """Since when it fails, in words."""
        return "new" if self.is_new else f"since {day_of(self.since_s)}, {self.runs} runs"

    def __str__(self) -> str:
        since = self.since
        if self.before is not None:  # the last pass of one board is no pass of all
            since = f"{since} on all, {self.before.since} on some"
        fails = "could not be collected" if self.is_file else "fails"
        is_one = self.before is None
        commits = _change("at", self.commit_before, self.commit, 10) if is_one else ""
        images = _change("with image", self.image_before, self.image) if is_one else ""
        if self.image_now not in {"", self.image}:
            images += f", now with image {self.image_now}"
        words = f"{self.test}: {fails}, {since}{commits}{images}"
        why = str(self.suspicion or self.everywhere or self.hint)
        return f"{words}; {why}" if why else words


def _change(word: str, before: str, now: str, shown: int | None = None) -> str:
    """Return what differs between the last pass and the first failure; empty if it is unknown or the same."""
    if not before or not now or before == now:
        return ""
    return f", passed {word} {before[:shown]}, fails {word} {now[:shown]}"


@dataclass(frozen=True, slots=True)
class Flaky:
    """A test that fails now and then, and no board explains it.

    Attributes:
        test: Its node id.
        counts: Number of runs with a failed attempt, and of all runs.
        low: Lower end of the failure rate, with 95 % confidence.
        high: Upper end of the failure rate, with 95 % confidence.
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
        runs = f"{self.counts.ran} {'run' if self.counts.ran == 1 else 'runs'}"
        return f"{self.test}: flaky, an attempt failed in {self.counts.failed} of {runs} ({rate}){now}"


@dataclass(frozen=True, slots=True)
class TiedToBoard:
    """A test that fails now and then, depending on the board.

    Attributes:
        test: Its node id.
        suspicion: The board.
    """

    test: str
    suspicion: Suspicion

    def __str__(self) -> str:
        return f"{self.test}: {self.suspicion}"


@dataclass(frozen=True, slots=True)
class Slower:
    """A test that takes longer than before.

    Attributes:
        test: Its node id.
        earlier_s: Median duration of its body in the oldest runs.
        later_s: Median duration of its body in the newest runs.
        p: Probability of a coincidence, corrected for the number of tests.
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
        runs: Number of runs in a row that skipped it, up to the newest.
        since_s: Start of the first of them.
        verdict: Why its hardware could not be used; empty if it skipped itself.
    """

    test: str
    runs: int
    since_s: float
    verdict: str

    def __str__(self) -> str:
        why = f" ({self.verdict})" if self.verdict else ""
        return f"{self.test}: always skipped since {day_of(self.since_s)}, {self.runs} runs{why}"


@dataclass(frozen=True, slots=True)
class NotRun:
    """Tests that earlier runs had and the newest one lacks, some of which failed when they last ran.

    Attributes:
        tests: How many they are.
        failed: Those that failed; of a test with several boards or images its node id on all of them.
        nodeids: The node ids of those that failed.
    """

    tests: int
    failed: list[str]
    nodeids: list[str]

    def __str__(self) -> str:
        were = f"{self.tests} tests" if self.tests > 1 else "1 test"
        more = f" and {len(self.failed) - _MOST_NAMES} more" if len(self.failed) > _MOST_NAMES else ""
        names = f"{', '.join(self.failed[:_MOST_NAMES])}{more}"
        return (
            f"{were} did not run in the newest run, {len(self.nodeids)} of them failed when they last ran: "
            f"{names}"
        )


@dataclass
class Analysis:
    """The findings about the newest nights.

    Attributes:
        runs: Number of runs that were analyzed.
        last: Number of tests of the newest run by outcome.
        simulated: Whether the newest run had only simulated boards; it is compared with such runs.
        nothing_ran: Why no test ran in the newest run; empty if one did.
        nights: Problems of whole nights.
        no_board: Tests that failed in the newest run because their board could not be used.
        images: Bad images, with which tests fail that pass with others; the tests are not in `failing`.
        boards: Bad boards, which fail tests more often than others do.
        there: Tests that fail now, but only on a bad board.
        failing: Other tests that fail now, new failures first.
        tied: Tests that pass now, and fail on one board.
        not_run: Tests that failed when they last ran and did not run in the newest run, or None.
        fixed: Tests that failed in the previous run and pass now.
        flaky: Tests that fail now and then.
        messages: The message of the newest failed attempt, by node id of failing and flaky tests.
        slower: Tests that take longer than before.
        drifted: Numbers that are not what they were.
        skipping: Tests that have been skipped for some time.
    """

    runs: int
    last: dict[str, int]
    simulated: bool = False
    nothing_ran: str = ""
    nights: list[str] = field(default_factory=list)
    no_board: list[str] = field(default_factory=list)
    images: list[BadImage] = field(default_factory=list)
    boards: list[Suspicion] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    failing: list[Failing] = field(default_factory=list)
    tied: list[TiedToBoard] = field(default_factory=list)
    not_run: NotRun | None = None
    fixed: list[str] = field(default_factory=list)
    flaky: list[Flaky] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    slower: list[Slower] = field(default_factory=list)
    drifted: list[Drift] = field(default_factory=list)
    skipping: list[AlwaysSkipped] = field(default_factory=list)

    @property
    def images_in_part(self) -> list[BadImage]:
        """The images of which the names of failing tests are worth telling, as others pass."""
        return [one for one in self.images if not one.fails_all]

    @property
    def with_image(self) -> list[str]:
        """The node ids of the tests that fail with a bad image alone."""
        return [nodeid for one in self.images for nodeids in one.tests.values() for nodeid in nodeids]

    @property
    def failures(self) -> list[Failing]:
        """The tests in `failing`; of one that fails everywhere only the newest failure, which made it so."""
        found: dict[str, list[Failing]] = {}
        for one in self.failing:
            found.setdefault(one.everywhere.value if one.everywhere else one.test, []).append(one)
        return [_of_all(those) for those in found.values()]

    def data(self) -> dict[str, Any]:
        """Return the findings as plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the findings as lines for people, the most urgent first."""
        tally = ", ".join(count_of(count, name) for name, count in self.last.items()) or "nothing ran"
        runs = "The only run" if self.runs == 1 else f"The newest of {self.runs} runs"
        where = ", on SIMULATED boards" if self.simulated else ""
        found = [line for title, items in self._sections() for line in section(title, self._indented(items))]
        calm = "Nothing is new, failing, flaky, slower or always skipped, and no number drifted."
        return [f"{runs}{where}: {tally}.", *(found or [calm])]

    def _indented(self, items: Iterable[object]) -> list[str]:
        lines = []
        for one in items:
            lines.append(f"  {one}")
            if isinstance(one, Failing | Flaky) and (message := self.messages.get(one.test)):
                lines.append(f"    {message}")
        return lines

    def _sections(self) -> list[tuple[str, Iterable[object]]]:
        return [
            ("Nights", self.nights),
            ("Images with which tests fail that pass with others", self.images),
            (
                "Fail now, with such an image alone",
                [test for one in self.images_in_part for test in one.tests],
            ),
            ("Boards that fail tests more often than others", self.boards),
            ("Fail now, on such a board alone", self.there),
            ("Had no board, so the bench is at fault", self.no_board),
            ("New failures", [_named(one) for one in self.failures if one.is_new]),
            ("Still failing", [_named(one) for one in self.failures if not one.is_new]),
            ("Did not run", [self.not_run] if self.not_run else []),
            ("Fail now and then, on one board or with one image", self.tied),
            ("Fixed", [f"{test}: passes again" for test in self.fixed]),
            ("Numbers that changed", self.drifted),
            ("Always skipped", self.skipping),
            ("Flaky: some attempts fail, and no board or image explains it", self.flaky),
            ("Slower than before", self.slower),
        ]


def _of_all(failing: list[Failing]) -> Failing:
    """Return the newest of the failures of one test, with the oldest if that began in another run."""
    newest, oldest = min(failing, key=lambda one: one.runs), max(failing, key=lambda one: one.runs)
    return newest if newest.runs == oldest.runs else replace(newest, before=oldest)


def _named(one: Failing) -> Failing:
    return replace(one, test=one.everywhere.value) if one.everywhere else one
