"""What became of a run of the suite inside a test: `run_suite` makes one, and its JUnit file is read here."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["InnerRun", "Outcome", "RunSuite", "read_run"]


@dataclass(frozen=True)
class Outcome:
    """What became of one test of a run inside."""

    result: str
    message: str = ""
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class InnerRun:
    """A run of the suite that is over."""

    status: int
    text: str
    outcomes: dict[str, Outcome]
    suite_properties: dict[str, str]

    def results(self) -> dict[str, str]:
        return {name: outcome.result for name, outcome in self.outcomes.items()}


RunSuite: TypeAlias = Callable[..., InnerRun]


def read_run(result: pytest.RunResult, junit: Path) -> InnerRun:
    text = result.stdout.str() + result.stderr.str()
    if not junit.exists():
        return InnerRun(int(result.ret), text, {}, {})
    tree = ET.parse(junit)  # noqa: S314 - pytest wrote it a moment ago
    suite = next(tree.iter("testsuite"))
    outcomes: dict[str, Outcome] = {}
    for case in suite.iter("testcase"):
        name = case.get("name", "")
        outcomes[name] = worse(outcomes.get(name), read_case(case))
    return InnerRun(int(result.ret), text, outcomes, properties_of(suite))


def read_case(case: ET.Element) -> Outcome:
    for tag, result in (("error", "error"), ("failure", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            expected = found.get("type") == "pytest.xfail"
            message = found.get("message", "") + (found.text or "")
            return Outcome("xfailed" if expected else result, message, properties_of(case))
    return Outcome("passed", "", properties_of(case))


def worse(first: Outcome | None, second: Outcome) -> Outcome:
    """JUnit tells a failing tear-down apart from its passing test."""
    return second if first is None or first.result == "passed" else first


def properties_of(element: ET.Element) -> dict[str, str]:
    return {
        entry.get("name", ""): entry.get("value", "") for entry in element.findall("./properties/property")
    }
