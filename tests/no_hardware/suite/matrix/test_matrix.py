"""Real runs with `--hil-each` on simulated boards."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from hil.suite.outcome.exit_status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import InnerRun, RunSuite

SIMULATOR = {"boards": 2, "speed": 5}
pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

RunOnTwo: TypeAlias = "Callable[..., InnerRun]"

NOTES = """
import pytest, time
@pytest.fixture(autouse=True)
def note(request, record_property):
    if "dutlink" in request.fixturenames:
        record_property("board", request.getfixturevalue("dutlink").serial)
        request.getfixturevalue("dutlink").power.read()
"""


@pytest.fixture
def lab(simulator: SimulatorProcess, pytester: pytest.Pytester) -> str:
    """The option for a lab file with the two boards."""
    one, two = simulator.serials()
    pytester.makefile(
        ".toml",
        two=f'[place.jetson-1]\nserial = "{one}"\ntags = ["jetson"]\n'
        f'[place.jetson-2]\nserial = "{two}"\ntags = ["jetson", "wifi"]\n',
    )
    return "--hil-lab=two.toml"


@pytest.fixture
def run(simulator: SimulatorProcess, run_suite: RunSuite, lab: str) -> RunOnTwo:
    port = simulator.ready["control_port"]

    def run(source: str, *arguments: str) -> InnerRun:
        return run_suite(NOTES + source, f"--hil-boards=sim@{port}", lab, *arguments)

    return run


@pytest.fixture
def boards(simulator: SimulatorProcess) -> dict[str, str]:
    """Serial numbers by place."""
    return dict(zip(("jetson-1", "jetson-2"), simulator.serials(), strict=True))


def boards_of(inner: InnerRun) -> dict[str, str]:
    assert set(inner.results().values()) == {"passed"}, inner.text
    return {name: outcome.properties.get("board", "") for name, outcome in inner.outcomes.items()}


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_matrix_runs_each_test_on_each_place(workers: str, run: RunOnTwo, boards: dict[str, str]) -> None:
    source = """
@pytest.mark.parametrize("how", ["fast", "slow"])
def test_boot(dutlink, how): pass
def test_own(): pass
"""
    inner = run(source, "--hil-each=board", workers)

    expected = {f"test_boot[{place}-{how}]": boards[place] for place in boards for how in ("fast", "slow")}
    assert boards_of(inner) == expected | {"test_own": ""}


def test_matrix_obeys_the_marker_of_a_test_a_class_and_a_module(run: RunOnTwo) -> None:
    source = """
pytestmark = pytest.mark.hardware(each="kind")
class TestEach:
    pytestmark = pytest.mark.hardware(each="board")
    def test_class(self, dutlink): pass
    @pytest.mark.hardware(each="any")
    def test_any(self, dutlink): pass
def test_module(dutlink): pass
"""
    expected = {"test_class[jetson-1]", "test_class[jetson-2]", "test_any"}

    assert set(boards_of(run(source))) == expected | {"test_module[jetson]", "test_module[jetson+wifi]"}


def test_matrix_runs_a_test_with_tags_only_on_boards_with_them(run: RunOnTwo) -> None:
    source = '@pytest.mark.hardware(tags="wifi")\ndef test_tagged(dutlink): pass\n'

    assert set(boards_of(run(source, "--hil-each=board"))) == {"test_tagged[jetson-2]"}


def test_matrix_skips_tests_of_an_absent_board_and_no_others(
    run: RunOnTwo, simulator: SimulatorProcess, boards: dict[str, str]
) -> None:
    source = "def test_a(dutlink): pass\ndef test_b(dutlink): pass\n"
    simulator.management.fault(boards["jetson-1"], "unplug")
    try:
        inner = run(source, "--hil-each=board")
        required = run(source, "--hil-each=board", "--hil-require", "-n2")
    finally:
        simulator.management.clear(boards["jetson-1"])

    good = {"test_a[jetson-2]": "passed", "test_b[jetson-2]": "passed"}
    assert inner.results() == {"test_a[jetson-1]": "skipped", "test_b[jetson-1]": "skipped"} | good
    assert f"no board {boards['jetson-1']} is there" in inner.outcomes["test_a[jetson-1]"].message
    assert required.results() == {"test_a[jetson-1]": "error", "test_b[jetson-1]": "error"} | good
    assert required.status == Status.BENCH_NOT_READY


def test_matrix_fails_a_unittest_that_would_run_on_one_board_only(run: RunOnTwo) -> None:
    source = """
import unittest
@pytest.mark.hardware
class TestOld(unittest.TestCase):
    def test_old(self): pass
    @pytest.mark.hardware(each="any")
    def test_any(self): pass
"""
    inner = run(source, "--hil-each=board")

    assert inner.results() == {"test_old": "error", "test_any": "passed"}, inner.text
    assert 'hardware(each="any")' in inner.outcomes["test_old"].message
