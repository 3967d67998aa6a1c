"""Attempts of one test, by any plugin that runs it again: no skip undoes a failure; each is judged alone."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from hil.evidence.run_folder import EvidenceFolder
from hil.history.store import History
from hil.suite.outcome.exit_status import Status
from hil.suite.outcome.reruns import FailedAttempts
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import InnerRun, RunSuite

pytestmark = pytest.mark.thorough  # runs of the suite
pytest_plugins = "pytester"

HEAD = """
import os, pytest
from hil.sim.management.client import ManagementClient

def fault(name):
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        if name: client.fault(os.environ["INNER_SERIAL"], name)
        else: client.clear(os.environ["INNER_SERIAL"])

ATTEMPTS = []
"""
FAILS_THEN_LOSES = (
    HEAD
    + """
def test_it(power):
    ATTEMPTS.append(1)
    if len(ATTEMPTS) == 1: assert False, "a real failure"
    fault("unplug")
    power.read()
"""
)
FAILS_THEN_LOSES_IN_A_SUBTEST = (
    HEAD
    + """
def test_it(power, subtests):
    ATTEMPTS.append(1)
    if len(ATTEMPTS) == 1: assert False, "a real failure"
    with subtests.test("part"):
        fault("unplug")
        power.read()
"""
)
LOSES_THEN_FAILS_AS_EXPECTED = HEAD + program(__file__, "reruns_loses_then_fails_as_expected")
PRINTS = (
    HEAD
    + """
def test_it(power):
    ATTEMPTS.append(1)
    print("printed by", len(ATTEMPTS))
    assert False
"""
)
AGAIN = pytest.mark.parametrize("again", ["--reruns=1", "--hil-repeat=1"])


@pytest.fixture
def run(
    simulator: SimulatorProcess, serial: str, run_on_simulator: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> RunSuite:
    monkeypatch.setenv("INNER_CONTROL", str(simulator.ready["control_port"]))
    monkeypatch.setenv("INNER_SERIAL", serial)
    return run_on_simulator


@AGAIN
@pytest.mark.parametrize("more", [(), ("--hil-require",)])
@pytest.mark.parametrize("source", [FAILS_THEN_LOSES, FAILS_THEN_LOSES_IN_A_SUBTEST], ids=["", "subtest"])
def test_failure_stands_although_the_board_is_lost_in_the_next_attempt(
    source: str, again: str, more: tuple[str, ...], run: RunSuite
) -> None:
    inner = run(source, again, *more)

    assert (inner.results(), inner.status) == ({"test_it": "failed"}, Status.TESTS_FAILED), inner.text
    assert "hardware: 1 planned, 1 ran, 1 failed, 0 skipped" in inner.text
    assert "hil_verdict" not in inner.outcomes["test_it"].properties


def test_failure_of_a_subtest_in_both_attempts_is_told_alike_everywhere(
    run: RunSuite, pytester: pytest.Pytester
) -> None:
    source = "def test_it(power, subtests):\n    with subtests.test('one'): assert False, 'always'\n"

    inner: InnerRun = run(source, "--hil-repeat=1", "--hil-history=h.db")

    with History(pytester.path / "h.db") as history:
        (newest,) = history.runs()
        outcomes = [one.outcome for one in history.attempts(newest.key)]
    assert outcomes == ["failed", "failed"]
    assert (inner.results(), inner.status) == ({"test_it": "failed"}, Status.TESTS_FAILED)
    assert "hil_outcome" not in inner.outcomes["test_it"].properties
    assert "flaky" not in inner.text.lower()


def test_what_was_not_excused_in_one_attempt_says_nothing_of_the_next(run: RunSuite) -> None:
    inner = run(LOSES_THEN_FAILS_AS_EXPECTED, "--reruns=1", "--hil-require")

    assert (inner.results(), inner.status) == ({"test_it": "xfailed"}, Status.GREEN), inner.text


@AGAIN
@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_captured_output_is_labelled_by_attempt(again: str, workers: str, run: RunSuite) -> None:
    inner = run(PRINTS, again, workers)

    printed = re.findall(r"Captured stdout call, attempt (\d) -+\nprinted by (\d)\n", inner.text)
    assert printed == [("1", "1"), ("2", "2")], inner.text


@AGAIN
def test_captured_output_is_kept_with_the_attempt_that_printed_it(
    again: str, run: RunSuite, pytester: pytest.Pytester
) -> None:
    run(PRINTS, again, "--hil-report=report")

    evidence = EvidenceFolder(pytester.path / "report")
    (test,) = evidence.tests(evidence.run().key)
    printed = [dict(attempt.sections)["Captured stdout call"] for attempt in test.attempts]
    assert printed == ["printed by 1\n", "printed by 2\n"]


REPLUGGED = HEAD + program(__file__, "reruns_replugged")


@pytest.mark.parametrize("more", ["-n0", "-n1", "--hil-report=report", "--hil-require"])
def test_rerun_uses_a_board_that_was_plugged_in_again_in_the_attempt_before(run: RunSuite, more: str) -> None:
    inner = run(REPLUGGED + "PLUGGED = True", "--reruns=1", more)

    assert (inner.results(), inner.status) == ({"test_it": "passed", "test_next": "passed"}, 0), inner.text


def test_rerun_without_its_board_keeps_the_failure_of_the_attempt_before(run: RunSuite) -> None:
    inner = run(REPLUGGED + "PLUGGED = False", "--reruns=1")

    assert inner.results() == {"test_it": "error", "test_next": "skipped"}, inner.text
    assert "a real failure" in inner.outcomes["test_it"].message


CRASHES = program(__file__, "reruns_crashes")


@pytest.mark.parametrize("phase", ["call", "teardown"])
@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
def test_junit_has_one_outcome_of_a_test_whose_worker_dies(
    run_suite: RunSuite, pytester: pytest.Pytester, phase: str, always: bool
) -> None:
    run_suite(CRASHES + f"PHASE, ALWAYS = {phase!r}, {always}\n", "-n1", "--reruns=1")

    junit = (pytester.path / "inner.xml").read_text()
    assert (junit.count("<testcase"), f'errors="{always:d}"' in junit, 'tests="1"' in junit) == (
        1,
        True,
        True,
    )


DIES_THEN_SKIPS = """
import os, pathlib, pytest, signal

def test_it(power):
    power.read()
    if pathlib.Path("died").exists(): pytest.skip("not now")
    pathlib.Path("died").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_skip_does_not_excuse_the_death_of_the_worker_before(run_suite: RunSuite) -> None:
    inner = run_suite(DIES_THEN_SKIPS, "--hil-boards=sim:1", "-n1", "--reruns=1")

    assert (set(inner.results().values()), inner.status) == ({"failed"}, Status.TESTS_FAILED), inner.text
    assert "1 failed, 0 skipped" in inner.text


def phase(when: str, outcome: str, **properties: str) -> pytest.TestReport:
    """Return a report of a phase."""
    longrepr = "it broke" if outcome in {"rerun", "repeated", "failed"} else None
    report = pytest.TestReport("a.py::test", ("a.py", 1, "test"), {}, "passed", longrepr, when)  # type: ignore[arg-type]
    report.outcome = outcome  # type: ignore[assignment]
    report.user_properties = list(properties.items())
    return report


@pytest.mark.parametrize(
    ("phases", "outcomes"),
    [
        ([("call", "repeated"), ("repeat", "passed")], ["failed"]),
        ([("call", "repeated"), ("repeat", "passed"), ("setup", "passed")], ["failed"]),
        ([("call", "rerun"), ("setup", "passed")], ["failed"]),
        ([("teardown", "rerun"), ("setup", "passed"), ("call", "passed")], []),
        ([("call", "repeated"), ("???", "failed")], []),
        ([("call", "failed"), ("teardown", "passed")], []),
    ],
)
def test_failed_attempt_without_a_later_outcome_is_reported_as_a_failure(
    phases: list[tuple[str, str]], outcomes: list[str]
) -> None:
    attempts, reported = FailedAttempts(), list[pytest.TestReport]()
    config = SimpleNamespace(
        hook=SimpleNamespace(pytest_runtest_logreport=lambda *, report: reported.append(report))
    )
    for when, outcome in phases:
        attempts.pytest_runtest_logreport(phase(when, outcome))

    attempts.pytest_sessionfinish(cast("Any", SimpleNamespace(config=config)))

    assert [one.outcome for one in reported] == outcomes
    assert all("it broke (its repetition has no outcome)" in one.longreprtext for one in reported)


@pytest.mark.parametrize(
    ("first", "later", "outcome"),
    [
        ("repeated", ("call", "passed", {}), "failed"),
        ("repeated", ("call", "passed", {"hil_attempt": "2"}), "passed"),  # of a subtest
        ("rerun", ("call", "passed", {}), "passed"),
        ("rerun", ("setup", "skipped", {}), "failed"),
        ("repeated", ("setup", "skipped", {}), "failed"),
    ],
)
def test_report_of_another_process_does_not_undo_a_failed_attempt(
    first: str, later: tuple[str, str, dict[str, str]], outcome: str
) -> None:
    attempts = FailedAttempts()
    attempts.pytest_runtest_logreport(phase("call", first))
    when, told, properties = later
    report = phase(when, told, **properties)

    attempts.pytest_runtest_logreport(report)

    assert report.outcome == outcome
