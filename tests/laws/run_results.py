"""What a run says about itself: JUnit, the terminal's last lines, and the ledger."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COUNTS = re.compile(r"^=+ (?P<counts>.*) in [\d.:]+s.*=+$")
_SHORT = re.compile(r"^(?P<word>PASSED|FAILED|ERROR|XFAIL|XPASS|RERUN|FLAKY) (?P<test>\S+)")
_LEDGER = re.compile(r"^hardware: (?P<counts>\d+ planned, .*)$")


@dataclass(frozen=True, slots=True)
class Case:
    """A test as JUnit tells it.

    Attributes:
        results: `passed`, `failed`, `error` or `skipped`; one, or two if its tear-down failed as well.
        properties: Of the test.
    """

    results: tuple[str, ...]
    properties: dict[str, str]


@dataclass
class Results:
    """What the run says.

    Attributes:
        text: The terminal's.
        counts: The terminal's last line.
        short: The names of tests by the word of the short summary.
        ledger: The counts of hardware tests in the terminal.
        junit_ledger: The same in JUnit.
        cases: By the test's name, with its parameters.
    """

    text: str
    counts: dict[str, int] = field(default_factory=dict)
    short: dict[str, list[str]] = field(default_factory=dict)
    ledger: dict[str, int] = field(default_factory=dict)
    junit_ledger: dict[str, int] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)


def name_of(nodeid: str) -> str:
    """Return a test's name, which is unique in its suite, with its parameters."""
    return nodeid.rpartition("::")[2] if "[" not in nodeid else _with_params(nodeid)


def _with_params(nodeid: str) -> str:
    before, _, params = nodeid.partition("[")
    return f"{before.rpartition('::')[2]}[{params}"


def read_results(folder: Path) -> Results:
    """Read what the run left in its folder."""
    output = folder / "output.txt"
    results = Results(output.read_text(errors="replace") if output.exists() else "")
    for line in results.text.splitlines():
        if match := _COUNTS.match(line):
            results.counts = _counts(match["counts"])
        elif match := _SHORT.match(line):
            results.short.setdefault(match["word"], []).append(name_of(match["test"]))
        elif match := _LEDGER.match(line):
            results.ledger = _counts(match["counts"])
    if (folder / "junit.xml").exists():
        _read_junit(results, folder / "junit.xml")
    return results


def _counts(text: str) -> dict[str, int]:
    """Read `3 passed, 1 error`; plural and singular are one word."""
    pairs = (part.split(" ", 1) for part in text.split(", "))
    return {name.removesuffix("s") if name == "errors" else name: int(n) for n, name in pairs if n.isdigit()}


def _read_junit(results: Results, path: Path) -> None:
    suite = next(ET.parse(path).iter("testsuite"))  # noqa: S314 - pytest wrote it a moment ago
    found: dict[str, list[ET.Element]] = {}
    for case in suite.iter("testcase"):
        found.setdefault(case.get("name", ""), []).append(case)
    for name, cases in found.items():
        words = tuple(word for case in cases for word in _words(case)) or ("passed",)
        properties = {key: value for case in cases for key, value in _properties(case).items()}
        results.cases[name] = Case(words, properties)
    for name, value in _properties(suite).items():
        if name.startswith("hil_hardware_") and value.isdigit():
            results.junit_ledger[name.removeprefix("hil_hardware_").replace("_", " ")] = int(value)


def _words(case: ET.Element) -> list[str]:
    told = (("failure", "failed"), ("error", "error"), ("skipped", "skipped"))
    return [word for tag, word in told for _ in case.findall(tag)]


def _properties(element: ET.Element) -> dict[str, str]:
    return {one.get("name", ""): one.get("value", "") for one in element.findall("./properties/property")}
