"""The fixture `measure`: what it keeps of each attempt, and when a broken limit fails a test."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from hil.evidence.measurement import Measurement
from hil.evidence.run_folder import EvidenceFolder
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.suite_run import InnerRun, RunSuite

pytest_plugins = "pytester"

TESTS = program(__file__, "numbers_tests")
_runs: dict[str, InnerRun] = {}


@pytest.fixture(
    params=["-n0", pytest.param("-n2", marks=pytest.mark.thorough)],
)
def inner(request: pytest.FixtureRequest, run_suite: RunSuite) -> InnerRun:
    """Runs the tests above once for each way to run them."""
    if request.param not in _runs:
        arguments = ["--dist=loadfile"] if request.param != "-n0" else []
        _runs[request.param] = run_suite(TESTS, "--hil-boards=none", request.param, *arguments)
    return _runs[request.param]


def test_measure_within_its_limits_passes(inner: InnerRun) -> None:
    assert inner.results()["test_within"] == "passed"


def test_measure_is_a_property_in_junit(inner: InnerRun) -> None:
    properties = inner.outcomes["test_within"].properties

    assert properties["hil_number:boot time"] == "12.5 s (below 20)"
    assert properties["hil_number:rate"] == "3 MB/s (above 1)"


def test_measure_shows_all_numbers_with_v(run_suite: RunSuite) -> None:
    inner = run_suite('def test_a(measure): measure("boot", 12.5, "s", below=20)', "--hil-boards=none", "-v")

    shown = inner.text.partition("hil: numbers")[2]
    assert "test_inner.py::test_a: boot is 12.5 s, must be below 20 s" in shown


def test_broken_limit_fails_a_test_that_asks_for_measure_only_while_it_runs(run_suite: RunSuite) -> None:
    test = 'def test_a(request): request.getfixturevalue("measure")("boot", 21, "s", below=20)'
    inner = run_suite(test, "--hil-boards=none")

    assert inner.outcomes["test_a"].result == "failed"
    assert "boot is 21 s, must be below 20 s" in inner.outcomes["test_a"].message


@pytest.mark.parametrize(("fixture", "hooks"), [("tmp_path", False), ("measure", True)])
def test_hooks_around_tests_are_only_there_for_tests_that_measure(
    run_suite: RunSuite, fixture: str, hooks: bool
) -> None:
    test = 'assert request.config.pluginmanager.has_plugin("hil-number-hooks")'
    inner = run_suite(f"def test_a(request, {fixture}): {test} is {hooks}", "--hil-boards=none")

    assert inner.results() == {"test_a": "passed"}


def test_broken_limits_fail_a_test_after_its_body_and_all_are_told(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_two_broken"]

    assert outcome.result == "failed"
    assert "first is 5 s, must be below 5 s (test_inner.py:16); third is 1 W" in outcome.message
    assert "must be above 2 W (test_inner.py:18)" in outcome.message
    assert "second" not in outcome.message
    assert "it went on" in inner.text


def test_broken_limit_is_told_beside_another_failure(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_fails_too"]

    assert "its own failure" in outcome.message
    assert "late is 9 s, must be below 5 s" in inner.text.partition("test_fails_too")[2]


def test_skip_does_not_excuse_a_broken_limit(inner: InnerRun) -> None:
    assert "late is 9 s" in inner.outcomes["test_skips_then"].message
    assert inner.results()["test_skips_then"] == "failed"
    assert inner.results()["test_skips"] == "skipped"


def test_broken_limit_is_a_failure_that_xfail_expects(inner: InnerRun) -> None:
    assert inner.results()["test_expected"] == "xfailed"


def test_broken_limit_in_set_up_fails_the_test_after_its_body(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_in_set_up"]

    assert (outcome.result, "set-up is 7 s" in outcome.message) == ("failed", True)
    assert "the body ran" in inner.text


def test_broken_limit_in_tear_down_is_an_error_of_the_test(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_in_tear_down"]

    assert (outcome.result, "tear-down is 8 s" in outcome.message) == ("error", True)


def test_refused_number_fails_at_the_tests_own_line(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_refused"]

    assert "UsageError: the number 'odd' is '12', a str" in outcome.message
    assert "check_measurement" not in outcome.message


def test_measure_in_a_subtest_belongs_to_the_test(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_in_subtests"]

    assert (outcome.result, "answer is 2 ms" in outcome.message) == ("failed", True)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("test_broken", "late is 9 s"),
        ("test_fails", "its own failure"),
        ("test_skips_itself", "Then the test was skipped: Skipped: enough"),
    ],
)
def test_broken_limit_fails_a_test_of_unittest(inner: InnerRun, name: str, word: str) -> None:
    outcome = inner.outcomes[name]

    assert (outcome.result, word in outcome.message) == ("failed", True)


def test_broken_limit_is_told_beside_a_failure_of_unittest(inner: InnerRun) -> None:
    assert "late is 9 s" in inner.text.partition("TestOfUnittest.test_fails")[2].partition("______")[2]


def test_broken_limit_in_an_excused_subtest_fails_the_test(inner: InnerRun) -> None:
    assert inner.results()["test_excused_subtest"] == "failed"
    assert "late is 9 s" in inner.outcomes["test_excused_subtest"].message


def test_number_of_a_thread_that_an_earlier_test_left_is_refused(inner: InnerRun) -> None:
    assert inner.results()["test_after_a_thread"] == "passed"
    assert "hil_number:late" not in inner.outcomes["test_after_a_thread"].properties


def test_block_that_an_earlier_test_entered_is_refused(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_leaves_a_block"]

    assert (outcome.result, "UsageError: long is " in outcome.message) == ("failed", True)


def test_number_of_a_forked_child_is_refused(inner: InnerRun) -> None:
    outcome = inner.outcomes["test_in_a_forked_child"]

    assert (outcome.result, "hil_number:late" in outcome.properties) == ("failed", False)
    assert "this process is a child" in inner.text


LATE_HOOK = """

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    result = yield
    item.funcargs["measure"]("late", 9, "s", below=5)
    return result
"""


def test_number_of_a_hook_after_the_judged_tear_down_is_an_error(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    with (pytester.path / "conftest.py").open("a") as conftest:
        conftest.write(LATE_HOOK)

    inner = run_suite("def test_a(measure): pass", "--hil-boards=none")

    assert (inner.results(), inner.status) == ({"test_a": "error"}, 1)
    assert "no test is running" in inner.outcomes["test_a"].message


def test_users_own_fixture_of_the_name_measure_wins(run_suite: RunSuite) -> None:
    own = """
import pytest

@pytest.fixture
def measure(): return "tape"

def test_own(measure): assert measure == "tape"
"""
    assert run_suite(own, "--hil-boards=none").results() == {"test_own": "passed"}


REPEATED = """
import pathlib, pytest

@pytest.mark.{marker}
def test_second_time({fixtures}):
    first = not pathlib.Path("seen").exists()
    pathlib.Path("seen").touch()
    measure("boot", 30 if first else 10, "s", below=20)
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("marker", "options"),
    [
        ("hardware", ("--hil-boards=sim:1", "--hil-repeat=1")),
        ("flaky(reruns=1)", ("--hil-boards=none",)),
        ("flaky(reruns=1)", ("--hil-boards=none", "-n1")),
    ],
)
def test_each_attempt_has_its_own_numbers(
    run_suite: RunSuite, pytester: pytest.Pytester, marker: str, options: tuple[str, ...]
) -> None:
    fixtures = "measure, power" if marker == "hardware" else "measure"

    run_suite(REPEATED.format(marker=marker, fixtures=fixtures), "--hil-report=kept", *options)

    folder = EvidenceFolder(pytester.path / "kept")
    (test,) = folder.tests("")
    assert [one.numbers for one in test.attempts] == [
        [Measurement("boot", 30.0, "s", 20.0)],
        [Measurement("boot", 10.0, "s", 20.0)],
    ]
    assert _values_in_junit(pytester.path / "inner.xml")[-1] == "10 s (below 20)"


def _values_in_junit(path: Path) -> list[str]:
    tree = ET.parse(path)  # noqa: S314 - pytest wrote it a moment ago
    return [one.get("value", "") for one in tree.iter("property") if one.get("name") == "hil_number:boot"]


@pytest.mark.thorough
def test_measure_power_keeps_mean_peak_and_energy(run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    test = """
import time

def test_idle(power, measure):
    power.on()
    with power.trace() as trace:
        time.sleep(1)
    measure.power("idle", trace, mean_below_watts=50, energy_below_joules=0.001)
"""
    inner = run_suite(test, "--hil-boards=sim:1", "--hil-report=kept")

    (kept,) = EvidenceFolder(pytester.path / "kept").tests("")
    assert [(one.name, one.unit, one.below) for one in kept.last.numbers] == [
        ("idle mean", "W", 50.0),
        ("idle peak", "W", None),
        ("idle energy", "J", 0.001),
    ]
    assert "a limit is broken: idle energy is " in inner.outcomes["test_idle"].message
