"""A failure is told although its board is lost at the same time; no worker forgets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.history.store import History
from hil.sim.process import SimulatorProcess
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.suite_run import InnerRun, RunSuite

pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

HEAD = program(__file__, "lost_failures_head")
BODY = HEAD + program(__file__, "lost_failures_body")
TEAR_DOWN = HEAD + program(__file__, "lost_failures_tear_down")
BETWEEN = HEAD + program(__file__, "lost_failures_between")
NEXT = HEAD + program(__file__, "lost_failures_next")


@pytest.fixture(scope="module")
def started() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=2) as process:
        yield process


@pytest.fixture
def two_boards(started: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """Two boards without faults before and after."""
    for serial in started.serials():
        started.management.clear(serial)
    yield started
    for serial in started.serials():
        started.management.clear(serial)


@pytest.fixture
def run(
    two_boards: SimulatorProcess, run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., InnerRun]:
    port = two_boards.ready["control_port"]
    monkeypatch.setenv("INNER_CONTROL", str(port))
    return lambda source, *arguments: run_suite(
        source, f"--hil-boards=sim@{port}", "--hil-lab=none", "--hil-silence=1", "--hil-wait=5", *arguments
    )


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_failure_stands_although_its_repetition_has_no_board(
    workers: str, run: Callable[..., InnerRun], pytester: pytest.Pytester
) -> None:
    inner = run(BODY, "--hil-repeat=1", "--hil-require", "--hil-history=h.db", workers)

    told = inner.outcomes.pop("test_fails")
    assert told.result in {"failed", "error"}, inner.text
    assert "the DUT rebooted by itself" in told.properties["hil_first_failure"]
    assert set(inner.results().values()) == {"passed"}, inner.text
    assert ("1 failed" in inner.text) or ("1 flaky" in inner.text)
    assert inner.status in {Status.TESTS_FAILED, Status.BENCH_NOT_READY}  # flaky, and a lost board
    with History(pytester.path / "h.db") as history:
        (newest,) = history.runs()
        kept = [one.outcome for one in history.attempts(newest.key) if one.nodeid.endswith("test_fails")]
    assert kept[0] in {"failed", "error"}


def test_failure_stands_although_the_one_board_is_lost(
    run: Callable[..., InnerRun], two_boards: SimulatorProcess
) -> None:
    two_boards.management.fault(two_boards.serials()[1], "unplug")

    inner = run(BODY, "--hil-repeat=1", "-n2")

    assert inner.status == Status.TESTS_FAILED, inner.text
    assert "the DUT rebooted by itself" in inner.outcomes["test_fails"].message


def test_tear_down_that_no_test_is_left_to_raise_fails_the_run(run: Callable[..., InnerRun]) -> None:
    inner = run(TEAR_DOWN, "-n2")

    told = "tear-down of fixture tidy failed after the last test on board "
    assert f"TEAR-DOWN FAILED: {told}" in inner.text, inner.text
    assert "AssertionError: the DUT's file system is damaged" in inner.suite_properties["hil_late_errors"]
    assert "NOT MADE SAFE, the DUT may have power: after the last test" not in inner.text
    assert inner.status == Status.TESTS_FAILED


@pytest.mark.parametrize(
    ("option", "status"), [("--hil-require", Status.BENCH_NOT_READY), ("--hil-silence=1", Status.GREEN)]
)
def test_lost_board_that_was_not_made_safe_fails_a_run_that_requires_hardware(
    option: str, status: Status, run: Callable[..., InnerRun]
) -> None:
    inner = run(BETWEEN, option)

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert "NOT MADE SAFE, the DUT may have power" in inner.text
    assert inner.status == status


def test_expected_failure_does_not_excuse_a_tear_down_of_the_board_before(
    run: Callable[..., InnerRun],
) -> None:
    inner = run(NEXT)

    assert inner.results() == {"test_first": "passed", "test_next": "error"}, inner.text
    assert inner.status == Status.TESTS_FAILED
