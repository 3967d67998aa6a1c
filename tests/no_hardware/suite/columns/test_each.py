"""Real runs with `--hil-each` on simulated boards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import pytest

from hil.lab.locks.acquire import acquire
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
def run(run_on_simulator: RunSuite, lab: str) -> RunOnTwo:
    return lambda source, *arguments: run_on_simulator(NOTES + source, lab, *arguments)


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
    assert f"no board jetson-1 ({boards['jetson-1']}) is there" in inner.outcomes["test_a[jetson-1]"].message
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
    assert 'hardware(each="any", image="...")' in inner.outcomes["test_old"].message


LOSES_ONE = """
import os
from hil.sim.management.client import ManagementClient

@pytest.mark.parametrize("number", range(3))
def test_any(dutlink, number):
    if dutlink.serial == os.environ["BAD"] and number == 1:
        with ManagementClient(int(os.environ["MANAGEMENT_PORT"])) as client:
            client.fault(dutlink.serial, "unplug")
    dutlink.power.read()
    time.sleep(0.2)
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_matrix_runs_tests_of_a_lost_board_on_no_other(
    workers: str,
    run: RunOnTwo,
    simulator: SimulatorProcess,
    boards: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BAD", boards["jetson-1"])
    monkeypatch.setenv("MANAGEMENT_PORT", str(simulator.ready["control_port"]))
    try:
        inner = run(LOSES_ONE, "--hil-each=board", workers)
    finally:
        simulator.management.clear(boards["jetson-1"])

    assert inner.results() == {
        "test_any[jetson-1-0]": "passed",
        "test_any[jetson-1-1]": "skipped",
        "test_any[jetson-1-2]": "skipped",
        "test_any[jetson-2-0]": "passed",
        "test_any[jetson-2-1]": "passed",
        "test_any[jetson-2-2]": "passed",
    }, inner.text
    assert inner.outcomes["test_any[jetson-1-0]"].properties["board"] == boards["jetson-1"]


def test_matrix_waits_for_the_board_that_another_user_holds(
    run: RunOnTwo, boards: dict[str, str], pytester: pytest.Pytester
) -> None:
    source = "def test_a(dutlink): pass\n"
    with acquire(boards["jetson-1"], folder=pytester.path / "locks"):
        inner = run(source, "--hil-each=board", "--hil-wait=0.5", "-n2")

    assert inner.results() == {"test_a[jetson-1]": "skipped", "test_a[jetson-2]": "passed"}, inner.text
    assert "DUTLink busy" in inner.outcomes["test_a[jetson-1]"].message


ORDERED = """
@pytest.fixture(scope="session")
def own(dutlink):
    print("SET-UP", dutlink.serial)
    yield
    print("TEAR-DOWN", dutlink.serial)
def test_a(own): pass
def test_b(own, how): pass
@pytest.mark.hardware(tags="wifi")
def test_c(own): pass
def test_d(own): pass
"""


def steps_of(inner: InnerRun) -> list[str]:
    began = re.findall(r"(?:::(test_\w+\[jetson-[12])|(SET-UP|TEAR-DOWN) )", inner.text)
    return [test.replace("[", " ") or word for test, word in began]


def test_matrix_acquires_each_board_once_and_keeps_the_order_of_its_tests(run: RunOnTwo) -> None:
    inner = run(ORDERED.replace(", how", ""), "--hil-each=board", "-s", "-vv", "--no-summary")
    first = ["test_a jetson-1", "SET-UP", "test_b jetson-1", "test_d jetson-1", "TEAR-DOWN"]
    second = [
        "test_a jetson-2",
        "SET-UP",
        "test_b jetson-2",
        "test_c jetson-2",
        "test_d jetson-2",
        "TEAR-DOWN",
    ]

    assert steps_of(inner) == [*first, *second], inner.text


def test_matrix_acquires_each_board_once_beside_other_session_parameters(run: RunOnTwo) -> None:
    how = "@pytest.fixture(scope='session', params=['x', 'y'])\ndef how(request): pass\n"
    inner = run(how + ORDERED, "--hil-each=board", "-s", "-vv", "--no-summary")

    steps = steps_of(inner)
    assert (steps.count("SET-UP"), steps.count("TEAR-DOWN"), len(steps)) == (2, 2, 13), inner.text


def test_matrix_keeps_the_ids_for_last_failed_and_for_k(run: RunOnTwo, boards: dict[str, str]) -> None:
    source = f"""
def test_a(dutlink): assert dutlink.serial != "{boards["jetson-1"]}"
def test_b(dutlink): pass
"""
    run(source, "--hil-each=board", "-p", "cacheprovider")
    again = run(source, "--hil-each=board", "-p", "cacheprovider", "--lf", "-n2")
    chosen = run(source, "--hil-each=board", "-k", "jetson-2")

    assert again.results() == {"test_a[jetson-1]": "failed"}
    assert chosen.results() == {"test_a[jetson-2]": "passed", "test_b[jetson-2]": "passed"}


def test_matrix_lists_its_tests_without_running_them(run: RunOnTwo) -> None:
    inner = run("def test_a(dutlink): pass\n", "--hil-each=board", "--collect-only", "-q")

    assert "::test_a[jetson-1]" in inner.text
    assert "::test_a[jetson-2]" in inner.text


def test_matrix_runs_on_the_only_board_of_a_run(run: RunOnTwo, boards: dict[str, str]) -> None:
    inner = run("def test_a(dutlink): pass\n", "--hil-each=board", "--hil-board=jetson-2")

    assert boards_of(inner) == {"test_a[jetson-2]": boards["jetson-2"]}


def test_matrix_leaves_mixed_tests_alone(run: RunOnTwo) -> None:
    source = "@pytest.mark.mixed\ndef test_mixed(dutlink): pass\ndef test_a(dutlink): pass\n"
    inner = run(source, "--hil-each=board", "-m", "mixed")
    wrong = run(source.replace("mixed\n", 'mixed(each="board")\n'), "-m", "mixed")

    assert inner.results() == {"test_mixed": "passed"}, inner.text
    assert "does not know each=" in wrong.outcomes["test_mixed"].message


def test_matrix_runs_a_test_that_opens_its_board_itself_on_each(run: RunOnTwo) -> None:
    inner = run("@pytest.mark.hardware\ndef test_a(): pass\n", "--hil-each=board")

    assert set(inner.outcomes) == {"test_a[jetson-1]", "test_a[jetson-2]"}


def test_matrix_without_any_board_says_once_for_each_test_that_there_is_none(run_suite: RunSuite) -> None:
    inner = run_suite(
        "def test_a(dutlink): pass\n", "--hil-boards=none", "--hil-lab=none", "--hil-each=board"
    )

    assert inner.results() == {"test_a": "skipped"}, inner.text


def test_matrix_of_places_that_are_all_absent_lists_them_all_the_same(run_suite: RunSuite, lab: str) -> None:
    inner = run_suite("def test_a(dutlink): pass\n", "--hil-boards=none", lab, "--hil-each=board", "-n2")

    assert inner.results() == {"test_a[jetson-1]": "skipped", "test_a[jetson-2]": "skipped"}, inner.text


@pytest.mark.parametrize("source", ["late", "doctest"])
def test_matrix_fails_a_test_without_parameters_that_it_cannot_multiply(
    source: str, run: RunOnTwo, pytester: pytest.Pytester
) -> None:
    if source == "late":
        (pytester.path / "sub").mkdir()
        (pytester.path / "sub/conftest.py").write_text(
            "import pytest\ndef pytest_itemcollected(item): item.add_marker(pytest.mark.hardware)\n"
        )
        (pytester.path / "sub/test_late.py").write_text("def test_late(): pass\n")
    else:
        (pytester.path / "sub.txt").write_text(">>> getfixture('dutlink') is None\nFalse\n")
    inner = run("def test_a(): pass\n", "--hil-each=board", "--doctest-glob=sub.txt")
    (wrong,) = (outcome for name, outcome in inner.outcomes.items() if name != "test_a")

    assert wrong.result == "error", inner.text
    assert "would run once, and is asked to run on each board" in wrong.message


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_matrix_fails_a_test_whose_parameter_asks_for_other_boards(workers: str, run: RunOnTwo) -> None:
    source = """
hardware = pytest.mark.hardware
MARKS = dict(two=hardware(boards=2), once=hardware(each="any"), kind=hardware(each="kind"))
MARKS["mixed"] = pytest.mark.mixed
@pytest.mark.parametrize("x", ["none", *(pytest.param(one, marks=mark) for one, mark in MARKS.items())])
def test_a(x, dutlinks): pass
"""
    inner = run(source, "--hil-each=board", workers)

    results = inner.results()
    for place in ("jetson-1", "jetson-2"):
        assert results.pop(f"test_a[{place}-none]") == "passed", inner.text
        assert "put boards=2 on the function" in inner.outcomes[f"test_a[{place}-two]"].message
    assert (set(results.values()), len(results)) == ({"error"}, 8), inner.text


def test_matrix_fails_a_test_on_boards_without_the_tags_of_its_parameter(run: RunOnTwo) -> None:
    source = """
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.hardware(tags="wifi"))])
def test_a(x, dutlink): pass
"""
    inner = run(source, "--hil-each=board")

    assert inner.results() == {"test_a[jetson-1-1]": "error", "test_a[jetson-2-1]": "passed"}, inner.text
    assert "put tags='wifi' on the function" in inner.outcomes["test_a[jetson-1-1]"].message


def test_matrix_fails_a_test_that_is_marked_for_two_boards_after_collection(
    run: RunOnTwo, pytester: pytest.Pytester
) -> None:
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub/conftest.py").write_text(
        "import pytest\ndef pytest_itemcollected(item): item.add_marker(pytest.mark.hardware(boards=2))\n"
    )
    (pytester.path / "sub/test_late.py").write_text("def test_late(dutlinks): pass\n")
    inner = run("", "--hil-each=board")

    assert inner.results() == {"test_late[jetson-1]": "error", "test_late[jetson-2]": "error"}, inner.text


def test_matrix_of_simulated_boards_has_the_same_ids_in_each_run(run_suite: RunSuite) -> None:
    inner = run_suite(
        "def test_a(dutlink): dutlink.power.read()\n", "--hil-boards=sim:2,speed=5", "--hil-each=board", "-n2"
    )

    assert inner.results() == {"test_a[sim-1]": "passed", "test_a[sim-2]": "passed"}, inner.text


def test_matrix_repeats_a_failed_test_on_its_own_board(run: RunOnTwo, boards: dict[str, str]) -> None:
    source = f"""
tries = []
def test_a(dutlink):
    tries.append(dutlink.serial)
    assert dutlink.serial != "{boards["jetson-2"]}" or tries.count(dutlink.serial) > 1
    assert len(set(tries)) == len(tries) - (dutlink.serial == "{boards["jetson-2"]}")
"""
    inner = run(source, "--hil-each=board", "--hil-repeat=1")

    assert inner.outcomes["test_a[jetson-1]"].result == "passed"
    assert inner.status == Status.FLAKY, inner.text
