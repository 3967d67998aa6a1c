"""Runs of the whole suite inside a test: the root conftest.py in a folder of its own, on faulty boards."""

from __future__ import annotations

import socket
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

import hil

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess

REPOSITORY = Path(hil.__file__).parents[1]
OPTIONS = [
    "-p",
    "no:cacheprovider",
    "-p",
    "no:hypothesispytest",
    "-ra",
    "--junitxml=inner.xml",
    "--hil-silence=1.5",
]


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


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of this host where no process listens: it stays taken, so that none can meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


RunSuite: TypeAlias = Callable[..., InnerRun]


@pytest.fixture
def serial(simulator: SimulatorProcess) -> Iterator[str]:
    """The simulator's one board, without faults before and after."""
    (serial,) = simulator.serials()
    simulator.control.clear(serial)
    yield serial
    simulator.control.clear(serial)


@pytest.fixture
def run_suite(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> RunSuite:
    """Runs tests given as text, or the tests that the folder holds, with the root conftest.py."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("HIL_LOCK_DIR", str(pytester.mkdir("locks")))
    for name in ("HIL_BOARDS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest((pytestconfig.rootpath / "conftest.py").read_text())

    def run(source: str, *arguments: str) -> InnerRun:
        pytester.makepyfile(test_inner=source)
        asyncio = [] if any("asyncio" in argument for argument in arguments) else ["-p", "no:asyncio"]
        result = pytester.runpytest_subprocess(*OPTIONS, *asyncio, *arguments)
        return read_run(result, pytester.path / "inner.xml")

    return run


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
