"""What a board, a lock or a channel raises in a hook is one test's error, and never the end of the run.

pytest ends a run with INTERNALERROR for an exception of a hook that is no set-up, body or tear-down. Here
each function by which hooks reach boards raises, in each of the places from which hooks call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.sim.process import SimulatorProcess
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.suite_run import InnerRun, RunSuite

    RunFailing: TypeAlias = Callable[[list[str], str, str], InnerRun]

pytest_plugins = "pytester"
pytestmark = pytest.mark.thorough  # processes

BEFORE = (
    "hil.suite.boards.session:BoardSession.can_replace",
    "hil.suite.boards.session:BoardSession.is_as_opened",
    "hil.boards.lease_and_open:acquire_all",
    "hil.boards.search:list_boards",
    "hil.boards.search:open_driver",
    "hil.boards.lease_and_open:open_driver",
    "hil.boards.lease_and_open:make_board_safe",
    "hil.boards.lease_and_open:under_guard",
    "hil.suite.boards.lifecycle:describe_board",
    "hil.boards.sources:SimulatedSource.host",
    "hil.dutlink.settings:BoardSettings.read",
)
AFTER = (
    "hil.dutlink.board:Board.close",
    "hil.dutlink.board:Board.is_reachable",
    "hil.boards.acquired:apply_policy",
    "hil.lab.guard.guarded_lease:read_record",
    "hil.lab.guard.guarded_lease:write_record",
    "hil.boards.board_source:BoardSource.return_to_lab",
)
RECORDS = (
    "hil.dutlink.console.console:Console.drain",
    "hil.dutlink.console.console:Console.open",
    "hil.dutlink.power.power:Power.trace",
    "hil.dutlink.power.trace:PowerTrace.plot",
    "hil.dutlink.console.transcript:Transcript.mark",
)
LOOKS = ("hil.suite.boards.session:BoardSession.probe", "hil.boards.acquired:probe")
SEAMS = (*BEFORE, *AFTER, *RECORDS, *LOOKS)
"""Functions by which hooks reach boards, locks, guards, consoles."""

IN_A_TEST = (
    *((seam, "acquire_for") for seam in (*BEFORE, *AFTER)),
    *((seam, "release_if_last") for seam in AFTER),
    ("hil.suite.boards.lifecycle:describe_image", "record_result"),
    *((seam, "pytest_runtest_protocol") for seam in RECORDS),
    *((seam, "pytest_runtest_makereport") for seam in (RECORDS[0], *LOOKS)),
)
"""Each with the function from which it is called: those of `BoardLifecycle`, and hooks that do without it."""

AROUND_A_RUN = (
    ("pytest_collection_finish", "-n0"),
    ("pytest_sessionfinish", "-n0"),
    ("pytest_sessionfinish", "-n2"),
    ("pytest_terminal_summary", "-n0"),
    ("pytest_unconfigure", "-n0"),
    ("pytest_xdist_auto_num_workers", "-nauto"),
    ("_make_plan", "-n2"),
)

FAILING = program(__file__, "containment_failing")
TESTS = """
import pytest
WHERE = {where!r}
TAGS = [pytest.param(one, marks=pytest.mark.hardware(tags=("a", "b")[n % 2])) for n, one in enumerate(WHERE)]

@pytest.mark.parametrize("where", TAGS)
def test_it(where, power):
    power.read()
    if where.endswith("makereport"):
        open("no such file")  # the console is shown, and the board is looked at
"""
ERRORS = ('RuntimeError("a seam failed")', 'OSError(9, "a seam failed")')


@pytest.fixture(scope="module")
def boards() -> Iterator[str]:
    """The option for two boards that are told apart by the tags a and b."""
    with SimulatorProcess(boards=2) as simulator:
        for serial, tag in zip(simulator.serials(), "ab", strict=True):
            with open_driver(simulated_host(simulator.ready), serial, console=False) as board:
                board.settings.write(tags=tag)
        yield f"--hil-boards=sim@{simulator.ready['control_port']}"


@pytest.fixture
def run_failing(run_suite: RunSuite, pytester: pytest.Pytester, boards: str) -> RunFailing:
    """Runs a test for each seam and place, with the error that the seam raises there."""

    def run(where: list[str], error: str, workers: str) -> InnerRun:
        seams = (*SEAMS, "hil.suite.boards.lifecycle:describe_image")
        pytester.makepyfile(failing=FAILING.format(seams=seams, error=error))
        source = TESTS.format(where=where)
        return run_suite(source, "-p", "failing", "--hil-report=kept", "--hil-wait=5", boards, workers)

    return run


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
@pytest.mark.parametrize("error", ERRORS)
def test_error_in_a_hook_around_a_test_is_the_outcome_of_tests(
    run_failing: RunFailing, error: str, workers: str
) -> None:
    where = [" ".join(one) for one in IN_A_TEST]

    inner = run_failing(where, error, workers)

    assert "INTERNALERROR" not in inner.text, inner.text
    assert len(inner.outcomes) == len(where), inner.text
    assert inner.status == Status.TESTS_FAILED
    of_those_before = [outcome.result for name, outcome in inner.outcomes.items() if "acquire_for" in name]
    assert of_those_before.count("error") >= len(BEFORE) // 2, inner.text


@pytest.mark.parametrize(("place", "workers"), AROUND_A_RUN)
def test_error_in_a_hook_around_the_run_does_not_end_it(
    run_failing: RunFailing, monkeypatch: pytest.MonkeyPatch, place: str, workers: str
) -> None:
    monkeypatch.setenv("INNER_FAILS_IN", place)

    inner = run_failing(["x x", "y y"], ERRORS[0], workers)

    assert "INTERNALERROR" not in inner.text, inner.text
    assert "Traceback" not in inner.text, inner.text
    assert set(inner.results().values()) == {"passed"}, inner.text
