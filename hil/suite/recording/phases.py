"""Make the facts of an attempt of a test, which evidence keeps, from the reports of its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.dutlink.console.sanitize import sanitize_line
from hil.suite.outcome.attempts import BETWEEN, REPEATED, is_flaky, sections_of_attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

    from hil.evidence.measurement import Measurement
    from hil.evidence.records import RecordedAttempt, RecordedPhase

__all__ = ["NUMBERS", "attempt_of", "attempt_to_collect", "message_of", "numbers_of", "outcome_of"]

NUMBERS = "hil_numbers"
"""The attribute of a report: name, value, unit and limits of each number of the attempt until then."""

_LONGEST_TEXT = 200_000


def attempt_of(phases: Sequence[pytest.TestReport], number: int) -> RecordedAttempt:
    """Return the facts of an attempt; texts that are too long lose their middle."""
    from hil.evidence.records import RecordedAttempt  # noqa: PLC0415 - runs that keep no evidence do not pay

    facts = {name: str(value) for report in phases for name, value in report.user_properties}
    watts = facts.get("hil_mean_watts_on", facts.get("hil_mean_watts", ""))
    return RecordedAttempt(
        number=number,
        outcome=outcome_of(phases),
        verdict=facts.get("hil_verdict", ""),
        message=message_of(phases),
        longrepr=_cut("\n\n".join(filter(None, (_long(report) for report in phases)))),
        sections=list(_sections(phases, number)),
        phases=[_phase(report) for report in phases],
        numbers=numbers_of(phases),
        mean_watts=float(watts) if watts else None,
    )


def attempt_to_collect(report: pytest.CollectReport) -> RecordedAttempt:
    """Return the facts of a file or class that could not be collected."""
    from hil.evidence.records import RecordedAttempt  # noqa: PLC0415 - runs that keep no evidence do not pay

    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(crash.message).splitlines()[:1] if crash is not None else report.longreprtext.splitlines()
    said = [line for line in (sanitize_line(one.removeprefix("E ")).strip() for one in lines) if line]
    message = f"could not be collected: {said[-1] if said else 'no reason is told'}"
    return RecordedAttempt(outcome="error", message=message, longrepr=_cut(report.longreprtext))


def numbers_of(phases: Iterable[pytest.TestReport]) -> list[Measurement]:
    """Return the numbers of an attempt; the report of a phase has those of earlier phases, too."""
    from hil.evidence.measurement import Measurement  # noqa: PLC0415 - only runs that measure pay

    kept: list[list[tuple[Any, ...]]] = [getattr(report, NUMBERS, []) for report in phases]
    return [Measurement(*one) for one in max(kept, key=len, default=[])]


def _phase(report: pytest.TestReport) -> RecordedPhase:
    from hil.evidence.records import RecordedPhase  # noqa: PLC0415 - runs that keep no evidence do not pay

    name = "teardown" if report.when == BETWEEN else str(report.when)
    outcome = "passed" if is_flaky(report) else str(report.outcome)
    return RecordedPhase(name, report.start, report.duration, outcome)


def outcome_of(phases: Sequence[pytest.TestReport]) -> str:
    """Return passed, failed, error, skipped, xfailed or xpassed; a failure outside the body is an error."""
    bad = [one for one in phases if one.outcome in {"failed", "rerun", REPEATED} and not is_flaky(one)]
    if bad:
        return "failed" if bad[0].when == "call" else "error"
    expected = any(hasattr(report, "wasxfail") for report in phases)
    if any(report.skipped for report in phases):
        return "xfailed" if expected else "skipped"
    return "xpassed" if expected else "passed"


def message_of(phases: Iterable[pytest.TestReport]) -> str:
    """Return the line that tells what went wrong, or why the test was skipped if nothing did."""
    for report in sorted(phases, key=lambda one: one.skipped):
        if report.outcome == "passed" or is_flaky(report):
            continue
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None:
            return str(crash.message).partition("\n")[0]
        if isinstance(report.longrepr, tuple):
            return str(report.longrepr[2]).partition("\n")[0]
        if isinstance(report.longrepr, str):
            return report.longrepr.strip().rpartition("\n")[2]
    return ""


def _long(report: pytest.TestReport) -> str:
    """Return pytest's text of a phase that did not pass; the text of a skip is its message."""
    if report.outcome == "passed" or is_flaky(report) or isinstance(report.longrepr, tuple):
        return ""
    return report.longreprtext


def _sections(phases: Iterable[pytest.TestReport], number: int) -> Iterable[tuple[str, str]]:
    """Return the captured sections, each once: the report of a phase has those of earlier phases, too."""
    found = {title: text for report in phases for title, text in sections_of_attempt(report.sections, number)}
    return ((title, _cut(text)) for title, text in found.items() if text.strip())


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
