"""Other plugins keep their meaning beside the hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.lab.safe_state.record import BoardState, read_record
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytestmark = pytest.mark.thorough  # processes, benches
pytest_plugins = "pytester"

PATCHES = program(__file__, "other_plugins_patches")
ASYNC = program(__file__, "other_plugins_async")
ASYNCIO_ON = ("-o", "asyncio_default_fixture_loop_scope=function")
TWO_TESTS_ON_ONE_CONSOLE = program(__file__, "other_plugins_two_tests_on_one_console")


def test_async_tests_without_a_board_are_skipped(run_suite: RunSuite) -> None:
    inner = run_suite(ASYNC, *ASYNCIO_ON, "--hil-boards=none")

    assert inner.results() == {
        "test_awaits": "skipped",
        "test_awaits_in_vain": "skipped",
        "test_plain_await": "failed",
    }, inner.text


def test_async_tests_with_a_board_tell_their_own_errors(run_suite: RunSuite) -> None:
    inner = run_suite(ASYNC, *ASYNCIO_ON, "--hil-boards=sim:1")

    assert inner.results() == {
        "test_awaits": "passed",
        "test_awaits_in_vain": "failed",
        "test_plain_await": "failed",
    }, inner.text


def test_a_subtest_without_a_board_is_skipped(run_suite: RunSuite) -> None:
    source = """
import pytest

@pytest.mark.hardware
def test_with_parts(subtests):
    with subtests.test("part"):
        raise FileNotFoundError("dutlink not available")
"""

    inner = run_suite(source, "--hil-boards=none")

    assert inner.status == pytest.ExitCode.OK, inner.text


def test_two_tests_do_not_see_each_other_s_bytes(run_suite: RunSuite) -> None:
    inner = run_suite(TWO_TESTS_ON_ONE_CONSOLE, "--hil-boards=sim:1")

    assert set(inner.results().values()) == {"passed"}, inner.text


def test_a_board_is_safe_after_an_interrupted_run(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str
) -> None:
    source = """
def test_is_interrupted(dutlink):
    dutlink.power.force_on()
    raise KeyboardInterrupt
"""

    inner = run_suite(source, f"--hil-boards=sim@{simulator.ready['control_port']}")

    assert inner.status == pytest.ExitCode.INTERRUPTED
    assert not simulator.management.state(serial)["supply"]


def test_a_board_that_cannot_be_made_safe_makes_the_run_fail(run_suite: RunSuite) -> None:
    source = """
from hil.dutlink.usb.safe_requests import SafeRequests
from hil.errors import TransferError

def test_breaks_the_board(dutlink):
    def fail(*_, **__):
        raise TransferError("it did not take the request")
    SafeRequests.complete = fail
"""

    inner = run_suite(source, "--hil-boards=sim:1")

    assert inner.status == pytest.ExitCode.TESTS_FAILED
    assert "MADE SAFE LATE, by its guard or a later holder: it did not take the request" in inner.text
    assert "made safe by guard at" in inner.text
    assert "the DUT may have power" not in inner.text


def test_board_is_safe_although_mocks_of_a_test_are_never_stopped(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str, pytester: pytest.Pytester
) -> None:
    inner = run_suite(PATCHES, f"--hil-boards=sim@{simulator.ready['control_port']}", "-k", "mocks")

    state = simulator.management.state(serial)
    assert inner.status == Status.GREEN, inner.text
    assert (state["supply"], state["mux"], set(state["pins"].values())) == (False, "off", {"floating"})
    assert read_record(pytester.path / "locks", serial).state is BoardState.SAFE


def test_board_without_proof_that_it_is_safe_is_made_safe_by_its_guard_and_the_run_fails(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str
) -> None:
    inner = run_suite(PATCHES, f"--hil-boards=sim@{simulator.ready['control_port']}", "-k", "action")

    assert inner.status == pytest.ExitCode.TESTS_FAILED, inner.text
    assert f"nothing shows that board sim-1 ({serial}) was made safe" in inner.text
    assert "made safe by guard at" in inner.text
    assert not simulator.management.state(serial)["supply"]


def test_board_is_made_safe_although_a_test_replaced_how(
    run_suite: RunSuite, simulator: SimulatorProcess, serial: str
) -> None:
    source = """
def test_replaces(dutlink):
    dutlink.power.force_on()
    dutlink.make_safe = lambda **_: None
    dutlink.power.force_off = lambda: 1 / 0
    dutlink.pins.float_all = lambda: 1 / 0
"""

    inner = run_suite(source, f"--hil-boards=sim@{simulator.ready['control_port']}")

    assert inner.status == Status.GREEN, inner.text
    assert not simulator.management.state(serial)["supply"]
