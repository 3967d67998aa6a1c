"""The life of each test of a run, told by its reports and by the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.laws.run_results import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.laws.run_record import Record, Request, Told
    from tests.laws.suite_plan import Suite, Test

BASES = ("passed", "failed", "skipped", "flaky")


@dataclass
class Life:
    """One test.

    Attributes:
        nodeid: As pytest names it.
        plan: What was written.
        is_hardware: Its kind, as the run has it.
        reports: In their order, in the first process.
        pid: The process that ran it; 0: none did.
        since_s: When the test before it in its process was over.
        until_s: When it was over.
        bodies: Where in the order its bodies began and ended; None: one that did not end well.
        made: The fixtures that its last body had.
    """

    nodeid: str
    plan: Test
    is_hardware: bool
    reports: list[Told] = field(default_factory=list)
    pid: int = 0
    since_s: float = 0.0
    until_s: float = 0.0
    bodies: list[tuple[int, int | None]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, with parameters."""
        return name_of(self.nodeid)

    @property
    def outcomes(self) -> list[str]:
        """What pytest counts: `passed`, `failed`, `skipped`, `flaky`, `error` (in set-up), `teardown error`.

        What came before a rerun does not count.
        """
        reruns = [at for at, report in enumerate(self.reports) if report.facts["outcome"] == "rerun"]
        counted = self.reports[reruns[-1] + 1 :] if reruns else self.reports
        return _words(counted)

    @property
    def counted(self) -> list[str]:
        """What the terminal counts: the same, with what came before a rerun."""
        return _words(self.reports)

    @property
    def outcome(self) -> str:
        """The first of them; empty: it has none."""
        return next(iter(self.outcomes), "")

    @property
    def facts(self) -> Mapping[str, str]:
        """What its last report says of its board."""
        return self.reports[-1].facts["facts"] if self.reports else {}

    def requests_in_body(self, record: Record) -> list[Request]:
        """Return what its process sent to boards during its last body."""
        if not self.bodies:
            return []
        began, ended = self.bodies[-1]
        return [
            request
            for request in record.requests
            if request.pid == self.pid and began < request.at < (ended or began) and not request.is_look
        ]


def _words(reports: Iterable[Told]) -> list[str]:
    """Return the outcomes of reports; a proven skip in the tear-down takes the place of a pass."""
    words: list[str] = []
    for report in reports:
        word = _category(report)
        in_teardown = report.facts["when"] == "teardown" and "hil_verdict" in report.facts["facts"]
        if word == "skipped" and in_teardown and words[-1:] == ["passed"]:
            words.pop()
        if word:
            words.append(word)
    return words


def _category(report: Told) -> str:
    when, outcome = report.facts["when"], report.facts["outcome"]
    if outcome == "failed" and when == "call":
        return "flaky" if report.facts["facts"].get("hil_outcome") == "flaky" else "failed"
    if outcome == "failed" and when in ("setup", "teardown"):
        return "error" if when == "setup" else "teardown error"
    if outcome == "skipped":
        return "xfailed" if report.facts["wasxfail"] else "skipped"
    return "passed" if outcome == "passed" and when == "call" else ""


def lives_of(suite: Suite, record: Record) -> list[Life]:
    """Return the life of each test that the run collected."""
    lives: dict[str, Life] = {}
    plans = {test.name: test for test in suite.tests}
    for collected in record.all("collected"):
        for nodeid, markers in collected.facts["tests"].items():
            plan = plans[name_of(nodeid).partition("[")[0]]
            is_hardware = "hardware" in markers and plan.mistake not in {"argument", "contradiction"}
            lives.setdefault(nodeid, Life(nodeid, plan, is_hardware))
    for report in record.all("report"):
        lives[report.facts["test"]].reports.append(report)
    _add_times(lives, record)
    return list(lives.values())


def _add_times(lives: Mapping[str, Life], record: Record) -> None:
    idle_since: dict[int, float] = {}
    for told in record.all("collected", "before", "after", "body", "body over"):
        if told.what == "collected":
            idle_since[told.pid] = told.time_s
            continue
        life = lives[told.facts["test"]]
        if told.what == "before" and not life.pid:
            life.pid, life.since_s = told.pid, idle_since[told.pid]
        elif told.what == "after":
            life.until_s = idle_since[told.pid] = told.time_s
        elif told.what == "body":
            life.pid, life.made = told.pid, told.facts["made"]
            life.bodies.append((told.at, None))
        elif told.what == "body over":
            life.bodies[-1] = (life.bodies[-1][0], told.at)
