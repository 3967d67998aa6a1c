"""A test that never asked its board for anything is told apart, and fails where hardware is required."""

from __future__ import annotations

from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.usb.request_log import RequestsSince, count_request, uncounted
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

NEVER = program(__file__, "request_counter_never")
OTHERS_ASK = {
    "fixture of that name in another module": """
import pytest

@pytest.fixture
def booted(): return 1
@pytest.mark.hardware
def test_last(booted): assert booted
""",
    "thread of an earlier test": program(__file__, "request_counter_thread"),
}
BOOTS = """
import pytest

@pytest.fixture(scope="session")
def booted(dutlink): return dutlink.power.read()
def test_first(booted): assert booted
"""
EXECUTOR = program(__file__, "request_counter_executor")
ASKS = program(__file__, "request_counter_asks")


def test_times_asked_counts_each_board_separately() -> None:
    since = RequestsSince("5a1c0e01"), RequestsSince("5a1c0e02")
    count_request("5a1c0e01")

    assert [each.times() for each in since] == [1, 0]


def test_uncounted_leaves_out_threads_that_begin_in_it() -> None:
    since = RequestsSince("5a1c0e01")
    with uncounted():
        count_request("5a1c0e01")
        thread = Thread(target=copy_context().run, args=(count_request, "5a1c0e01"))
    thread.start()
    thread.join()

    assert since.times() == 0


def test_asked_since_leaves_out_threads_that_ran_before() -> None:
    begin, asked, end = Event(), Event(), Event()

    def ask() -> None:
        begin.wait()
        count_request("5a1c0e03")
        asked.set()
        end.wait()

    earlier = Thread(target=ask)
    earlier.start()
    since = RequestsSince("5a1c0e03")
    begin.set()
    asked.wait()
    later = Thread(target=count_request, args=("5a1c0e03",))
    later.start()
    later.join()
    count_request("5a1c0e03")

    assert since.times() == 2
    end.set()
    earlier.join()


@pytest.mark.thorough
@pytest.mark.parametrize("others", OTHERS_ASK)
def test_requests_of_others_do_not_count_for_a_test(
    others: str, run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_a=BOOTS)

    inner = run_suite(OTHERS_ASK[others], "--hil-boards=sim:1", "--hil-require")

    assert inner.outcomes["test_last"].result == "failed", inner.text
    assert "1 never asked their board" in inner.text


@pytest.mark.thorough
def test_requests_of_an_executor_and_of_extended_fixtures_count_for_a_test(run_suite: RunSuite) -> None:
    inner = run_suite(EXECUTOR, "--hil-boards=sim:1", "--hil-require")

    assert set(inner.results().values()) == {"passed"}, inner.text


@pytest.mark.thorough
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_tests_without_a_request_fail_if_hardware_is_required(workers: str, run_suite: RunSuite) -> None:
    inner = run_suite(NEVER, workers, "--hil-boards=sim:1", "--hil-require", "--hil-report=report")

    assert (set(inner.results().values()), inner.status) == ({"failed"}, Status.TESTS_FAILED), inner.text
    assert "4 planned, 0 ran, 4 failed, 0 skipped, 4 never asked their board" in inner.text
    assert "never asked board" in inner.outcomes["test_marked"].message


@pytest.mark.thorough
def test_tests_without_a_request_are_told_apart(run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    inner = run_suite(NEVER, "--hil-boards=sim:1", "--hil-report=report")

    assert (set(inner.results().values()), inner.status) == ({"passed"}, Status.GREEN), inner.text
    assert "NO HARDWARE TEST RAN" in inner.text
    assert inner.suite_properties["hil_hardware_never_asked_their_board"] == "4"
    assert inner.outcomes["test_marked"].properties["hil_requests"] == "0"
    assert inner.outcomes["test_marked"].properties["hil_unasked"] == "yes"
    summary = (pytester.path / "report" / "summary.md").read_text(encoding="utf-8")
    assert "4 of 4 tests never asked their board" in summary
    assert "as they should be" not in summary


@pytest.mark.thorough
def test_tests_that_ask_in_any_way_pass(run_suite: RunSuite) -> None:
    inner = run_suite(ASKS, "--hil-boards=sim:1", "--hil-require")

    assert inner.status == Status.GREEN, inner.text
    assert "hardware: 7 planned, 7 ran, 0 failed, 0 skipped" in inner.text


CATCHES = program(__file__, "request_counter_catches")


@pytest.mark.thorough
@pytest.mark.parametrize("more", [(), ("-n1",)], ids=["plain", "xdist"])
def test_error_of_the_board_that_a_passing_test_caught_is_told_in_ledger_and_junit(
    run_suite: RunSuite, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    port = simulator.management.port
    monkeypatch.setenv("INNER_CONTROL", str(port))

    inner = run_suite(CATCHES, f"--hil-boards=sim@{port}", *more)

    line = next(line for line in inner.text.splitlines() if "they caught an error" in line)
    assert inner.results() == {"test_catches": "passed", "test_after_it": "passed", "test_fails": "failed"}
    assert line.startswith("1 passed after they caught")
    assert "test_catches" in line
    assert "request (value " in line, "which request failed"
    assert Path("inner.xml").read_text(encoding="utf-8").count('name="hil_caught"') == 1


CAUGHT_BY_FIXTURES = program(__file__, "request_counter_caught_by_fixtures")


@pytest.mark.thorough
@pytest.mark.usefixtures("serial")  # plugged in again
@pytest.mark.parametrize("more", [(), ("-n1",)], ids=["plain", "xdist"])
def test_error_that_a_test_caught_is_told_for_it_whatever_met_the_error(
    run_suite: RunSuite, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    port = simulator.management.port
    monkeypatch.setenv("INNER_CONTROL", str(port))

    inner = run_suite(CAUGHT_BY_FIXTURES, f"--hil-boards=sim@{port}", *more)

    told = {name: one.properties.get("hil_caught", "") for name, one in inner.outcomes.items()}
    assert set(inner.results().values()) == {"passed"}, inner.text
    assert {name for name, error in told.items() if error} == {
        *("test_warm", "test_warm_again", "test_rig", "test_rig_again"),
        *("test_cools", "test_raw", "test_unplugged"),
    }
    assert (told["test_warm"], "STALL" in told["test_warm"]) == (told["test_warm_again"], True)
    assert "a transfer failed that the test made itself" in told["test_raw"]
    assert "left the bus" in told["test_unplugged"]
