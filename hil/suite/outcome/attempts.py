"""The attempts of one test: their number, their failures, and the reports that tell of them.

Reports carry this to other processes: `REPEATED` is the outcome of a failed phase whose test is repeated, and
`BETWEEN` is the phase that ends such an attempt.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from hil.suite.outcome.user_properties import note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "ATTEMPT",
    "BETWEEN",
    "FLAKY",
    "LABEL",
    "OUTCOME",
    "REPEATED",
    "Attempts",
    "attempt_of",
    "attempts_of",
    "fail_for_subtests",
    "fail_skipped_rerun",
    "is_flaky",
    "mark_flaky",
    "sections_of_attempt",
    "skip_for_subtests",
    "skip_text",
]

REPEATED = "repeated"
"""The outcome of a failed phase whose test is repeated; pytest counts it neither as failed nor as passed."""

BETWEEN = "repeat"
"""The name of the tear-down of such an attempt: JUnit takes `teardown` for the end of the test."""

ATTEMPT = "hil_attempt"
"""User property: the number of an attempt, from the second on."""

OUTCOME = "hil_outcome"
"""User property of a test that is `FLAKY`."""

FLAKY = "flaky"

LABEL = ", attempt "
"""In the title of a report's section: it precedes the number of the attempt that printed the section."""

FIRST_FAILURE = "hil_first_failure"


@dataclass(slots=True)
class Attempts:
    """The attempts of one test.

    Attributes:
        number: Number of the present attempt, from 1.
        again: Whether the present attempt has failed and another one follows.
        in_body: Whether the body runs, as `BoardHooks` notes: a report that is made then is a subtest's.
        failures: Reports of failures, in earlier attempts and in this one.
        failed_parts: How many subtests of the present attempt have failed and are not repeated.
        on_boards: Of each attempt that was to have a board, whichever plugin reruns the test, the first
            failure; None: it passed, or only hardware was missing.
        has_passed: Whether the body of the present attempt has passed; an unexpected pass of an `xfail` is
            left out.
        is_judged: Whether the error that is being reported was proven to come from hardware that could not
            be used.
        not_excused_in: The phase in which the present attempt failed because required hardware is missing, or
            with an error of the board before, which `xfail` does not excuse; or empty.
    """

    number: int = 1
    again: bool = False
    in_body: bool = False
    failures: list[pytest.TestReport] = field(default_factory=list)
    failed_parts: int = 0
    on_boards: list[pytest.TestReport | None] = field(default_factory=list)
    has_passed: bool = False
    is_judged: bool = False
    not_excused_in: str = ""

    @property
    def present_has_failed(self) -> bool:
        """Whether the present attempt has failed, in an earlier phase or in a subtest."""
        return bool(self.on_boards) and self.on_boards[-1] is not None

    def begin_on_board(self) -> None:
        """Begin an attempt that is to have a board: what is noted of the one before is not of this one."""
        self.on_boards.append(None)
        self.has_passed = False
        self.not_excused_in = ""

    def fail(self, report: pytest.TestReport) -> None:
        """Add a failed phase of an attempt that is to be repeated."""
        self.again = True
        self.failures.append(report)
        mark(report, REPEATED)

    def begin_next(self, item: pytest.Item) -> None:
        """Start the next attempt, and note in the test's properties what failed first."""
        self.number += 1
        self.again = False
        self.failed_parts = 0
        note(item, {ATTEMPT: str(self.number), FIRST_FAILURE: first_line(self.failures[0])})


_ATTEMPTS = pytest.StashKey[Attempts]()


def attempts_of(item: pytest.Item) -> Attempts:
    """Return the attempts of a test."""
    return item.stash.setdefault(_ATTEMPTS, Attempts())


def mark(report: pytest.TestReport, outcome: str) -> None:
    """Give a report an outcome that pytest's type does not know."""
    report.outcome = cast("Literal['passed', 'failed', 'skipped']", outcome)


def attempt_of(report: pytest.TestReport) -> int:
    """Return the number of the attempt that a report of a repeated test is from; 0 if it is not repeated."""
    reruns: Any = getattr(report, "rerun", 0)  # pytest-rerunfailures
    if number := dict(report.user_properties).get(ATTEMPT):
        return int(str(number))
    return reruns + 1 if reruns or report.outcome in {REPEATED, "rerun"} else 0


def is_flaky(report: pytest.TestReport) -> bool:
    """Return True if a test passed only when it was repeated."""
    return report.failed and report.when == "call" and (OUTCOME, FLAKY) in report.user_properties


def mark_flaky(report: pytest.TestReport, failure: pytest.TestReport) -> None:
    """Make a passing report a flaky one; tools that do not know the word see a failure.

    Args:
        report: The passing report.
        failure: The report of the failed attempt.
    """
    told = f"flaky: passed when it was repeated after a power cycle; before: {first_line(failure)}"
    mark(report, "failed")
    report.user_properties.append((OUTCOME, FLAKY))
    report.longrepr = _retold(failure.longrepr, told)


def fail_skipped_rerun(report: pytest.TestReport, failure: pytest.TestReport) -> None:
    """Make a skip after a failed attempt a failure: a skip does not undo the failure.

    Args:
        report: The report of the skip.
        failure: The report of the failed attempt.
    """
    told = f"{first_line(failure)} (its repetition was skipped: {skip_text(report)})"
    mark(report, "failed")
    report.longrepr = _retold(failure.longrepr, told)


def fail_for_subtests(report: pytest.TestReport, number: int) -> None:
    """Make the report of a test with failed subtests a failure, as pytest does without repetitions."""
    mark(report, "failed")
    report.longrepr = f"contains {number} failed subtest{'s' if number > 1 else ''}"


def skip_for_subtests(report: pytest.TestReport, reason: str) -> None:
    """Make the report of a test a skip, because its hardware could not be used in a subtest."""
    path, line, _ = report.location
    mark(report, "skipped")
    report.longrepr = (path, (line or 0) + 1, f"Skipped: {reason}")


def first_line(report: pytest.TestReport) -> str:
    """Return the line that says what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else report.longreprtext
    return text.strip().partition("\n")[0]


def skip_text(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return what a skip says, as pytest reports it."""
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext


def sections_of_attempt(sections: Iterable[tuple[str, str]], number: int) -> Iterator[tuple[str, str]]:
    """Yield the sections of a report that one attempt printed, without its number."""
    for title, text in sections:
        plain, is_labelled, attempt = title.partition(LABEL)
        if not is_labelled or attempt == str(number):
            yield plain, text


def _retold(longrepr: Any, told: str) -> Any:  # noqa: ANN401 - pytest has five kinds
    """Return the traceback of an earlier attempt under another headline."""
    crash = getattr(longrepr, "reprcrash", None)
    if crash is None:
        return f"{told}\n\n{longrepr}"
    copied = copy.deepcopy(longrepr)
    copied.reprcrash.message = told
    return copied
