"""Each row of the verdict table, by a real fault of a simulated host, in one process and in two."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from hil.history.store import History
from hil.lab.locks.acquire import acquire
from hil.sim.process import SimulatorProcess
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.suite_run import InnerRun, RunSuite

pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

READS = """
def test_reads(power):
    power.read()
"""
MIXED = """
import pytest

@pytest.mark.mixed
def test_mixed(power):
    power.read()
"""
LOSES = program(__file__, "verdict_rows_loses")
LOSES_AT_THE_END = program(__file__, "verdict_rows_loses_at_the_end")
ENDS_IN_A_TEAR_DOWN = program(__file__, "verdict_rows_ends_in_a_tear_down")
MISSES_A_FILE = """
import os
from hil.sim.management.client import ManagementClient

def test_misses_a_file(power):
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["INNER_SERIAL"], "{fault}")
    power.read()
    open("/no/such/data")
"""
FAILS_IN_PART = program(__file__, "verdict_rows_fails_in_part")
PARTS = {
    "subtest, body": """
    with subtests.test("a"):
        assert power.read() is None
    unplug()
    power.read()
""",
    "subtest, tear-down": """
    with subtests.test("a"):
        assert power.read() is None
    unplug()
""",
    "lost subtest, subtest": """
    unplug()
    with subtests.test("a"):
        power.read()
    with subtests.test("b"):
        assert power is None
""",
    "body, tear-down": """
    unplug()
    assert power is None
""",
}
FAILS_AND_LOSES = program(__file__, "verdict_rows_fails_and_loses")
FAILING_BODIES = {
    "finally": """
    try:
        unplug()
        assert power is None, "the bug"
    finally:
        power.force_off()
""",
    "class": """
    with Off(power):
        unplug()
        pytest.fail("the bug")
""",
    "generator": """
    with off(power), off(power):
        unplug()
        assert power is None, "the bug"
""",
    "from None": """
    try:
        unplug()
        assert power is None, "the bug"
    finally:
        try:
            power.force_off()
        except Exception as error:
            raise FileNotFoundError(str(error)) from None
""",
    "exit stack": """
    with contextlib.ExitStack() as stack:
        stack.callback(power.force_off)
        unplug()
        assert power is None, "the bug"
""",
    "finalizer of a group": """
    unplug()
    errors = []
    for one in (lambda: power.force_off(), lambda: pytest.fail("the bug")):
        try:
            one()
        except BaseException as error:
            errors.append(error)
    raise BaseExceptionGroup("both", errors)
""",
}
WAITS_OUT = """
import pytest, usb.core

def test_times_out_in_a_sequence(dutlink):
    dutlink.settings.write(power_on="p1,w30")  # 3 s: longer than the run's --hil-silence
    dutlink.power.on(wait=False)
    raise usb.core.USBTimeoutError("Operation timed out", -7, 110)

def test_comes_later(dutlink):
    dutlink.settings.write(power_on="")
"""
LATER = """def test_2_comes_later(power):
    power.read()"""
ENDS_THE_SIMULATOR = program(__file__, "verdict_rows_ends_the_simulator")
HELD_ELSEWHERE = "elsewhere.py::test_long"

RunOnSimulator: TypeAlias = "Callable[..., InnerRun]"


@pytest.fixture(
    params=[
        pytest.param((), id="alone"),
        pytest.param(("-n", "2"), id="in two processes"),
    ]
)
def workers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def run(
    simulator: SimulatorProcess, serial: str, run_on_simulator: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> RunOnSimulator:
    """Runs a suite on the simulated host, whose faults are this test's."""
    monkeypatch.setenv("INNER_CONTROL", str(simulator.ready["control_port"]))
    monkeypatch.setenv("INNER_SERIAL", serial)
    return run_on_simulator


def lost_in_a(scope: str) -> str:
    """A suite whose only test loses its board in the tear-down of a fixture of that scope."""
    return LOSES_AT_THE_END.replace('scope="function"', f'scope="{scope}"')


def counts_of(inner: InnerRun) -> tuple[str, str]:
    """What the terminal's last line and the ledger count."""
    last = next(line for line in reversed(inner.text.splitlines()) if " in " in line and "==" in line)
    ledger = next(line for line in inner.text.splitlines() if line.startswith("hardware: "))
    return last.strip("= ").partition(" in ")[0], ledger.removeprefix("hardware: ")


def outcomes_in(history: str) -> list[str]:
    """What a history file says became of each attempt."""
    with History(Path(history)) as kept:
        (run,) = kept.runs()
        return [attempt.outcome for attempt in kept.attempts(run.key)]


FAULTS = {
    "no_backend": "No USB backend: ",
    "unplug": "DUTLink not available: ",
    "boot_loader": "DUTLink not available: ",
    "deny": "USB not available: ",
    "hang": "DUTLink lost: ",
}


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, ...], InnerRun]:
    """The runs of this module so far, by what was different in them."""
    return {}


@pytest.fixture
def run_with_fault(
    run: RunOnSimulator,
    simulator: SimulatorProcess,
    serial: str,
    runs: dict[tuple[str, ...], InnerRun],
) -> RunOnSimulator:
    """Runs a hardware and a mixed test with a fault, once for each way to run them, and remembers."""

    def run_once(fault: str, *arguments: str) -> InnerRun:
        key = (fault, *arguments)
        if key not in runs:
            simulator.management.fault(serial, fault)
            runs[key] = run(MIXED + READS, *arguments)
        return runs[key]

    return run_once


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_before_the_test_is_a_skip_with_its_reason(
    fault: str, run_with_fault: RunOnSimulator, workers: tuple[str, ...]
) -> None:
    reads = run_with_fault(fault, *workers).outcomes["test_reads"]

    assert (reads.result, reads.message[: len(FAULTS[fault])]) == ("skipped", FAULTS[fault])


@pytest.mark.parametrize("fault", FAULTS)
def test_every_skip_has_a_remedy(fault: str, run_with_fault: RunOnSimulator) -> None:
    reads = run_with_fault(fault).outcomes["test_reads"]

    assert reads.properties["hil_remedy"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mixed_test_is_never_skipped(
    fault: str, run_with_fault: RunOnSimulator, workers: tuple[str, ...]
) -> None:
    mixed = run_with_fault(fault, *workers).outcomes["test_mixed"]

    assert mixed.result == "passed"


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_before_the_test_is_a_failure_if_hardware_is_required(
    fault: str, run_with_fault: RunOnSimulator
) -> None:
    inner = run_with_fault(fault, "--hil-require")

    assert inner.status == Status.BENCH_NOT_READY
    assert f"\n{FAULTS[fault]}" in inner.text


def test_a_mixed_test_fails_too_where_hardware_is_required(run_with_fault: RunOnSimulator) -> None:
    inner = run_with_fault("unplug", "--hil-require")

    assert inner.outcomes["test_mixed"].result == "error"


def test_a_board_in_its_boot_loader_is_named_as_such(
    run: RunOnSimulator, simulator: SimulatorProcess, serial: str
) -> None:
    simulator.management.fault(serial, "boot_loader")

    inner = run(READS)

    assert "boot loader" in inner.outcomes["test_reads"].message


def test_a_busy_board_is_skipped_and_its_holder_named(
    run: RunOnSimulator, serial: str, workers: tuple[str, ...], pytester: pytest.Pytester
) -> None:
    with acquire(serial, test=HELD_ELSEWHERE, folder=pytester.path / "locks"):
        inner = run(READS, "--hil-wait=0.2", *workers)

    message = inner.outcomes["test_reads"].message
    assert (message.startswith("DUTLink busy: "), HELD_ELSEWHERE in message) == (True, True)


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_wait_for_a_board_does_not_count_for_the_test(
    method: str, run: RunOnSimulator, serial: str, workers: tuple[str, ...], pytester: pytest.Pytester
) -> None:
    limit = ("--timeout=1", f"--timeout-method={method}")

    with acquire(serial, test=HELD_ELSEWHERE, folder=pytester.path / "locks"):
        inner = run(READS, "--hil-wait=2.5", *limit, *workers)

    assert inner.outcomes["test_reads"].message.startswith("DUTLink busy: "), inner.text


def test_a_test_without_fixtures_never_touches_a_busy_board(
    run: RunOnSimulator, serial: str, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    source = f"""
import pytest, pathlib

@pytest.mark.hardware
def test_opens_the_board_itself():
    pathlib.Path({str(touched)!r}).touch()
"""

    with acquire(serial, folder=pytester.path / "locks"):
        run(source, "--hil-wait=0")

    assert not touched.exists()


@pytest.mark.parametrize("fault", ['"unplug"', '"hang"'])
def test_a_board_lost_in_the_middle_skips_the_test_and_the_later_ones(
    fault: str, run: RunOnSimulator
) -> None:
    inner = run(LOSES.format(fault=fault))

    assert set(inner.results().values()) == {"skipped"}, inner.text


@pytest.mark.parametrize("fault", ['"unplug"', '"hang"'])
def test_a_board_lost_in_the_middle_fails_no_test_of_several_workers(fault: str, run: RunOnSimulator) -> None:
    inner = run(LOSES.format(fault=fault), "-n", "2")

    assert inner.status == pytest.ExitCode.OK, inner.text


def test_a_lost_board_is_called_lost(run: RunOnSimulator) -> None:
    inner = run(LOSES.format(fault='"unplug"'))

    assert {outcome.message[:12] for outcome in inner.outcomes.values()} == {"DUTLink lost"}


CAUGHT = """
    try:
        power.read()
    except Exception:
        pytest.skip("it went away")
"""


@pytest.mark.parametrize(
    ("how", "result", "status"),
    [((), "skipped", Status.GREEN), (("--hil-require",), "failed", Status.BENCH_NOT_READY)],
    ids=["", "required"],
)
def test_lost_board_is_called_lost_where_its_test_skips_itself(
    how: tuple[str, ...], result: str, status: Status, run: RunOnSimulator
) -> None:
    source = LOSES.format(fault='"unplug"').replace("\n    power.read()\n", CAUGHT, 1)

    inner = run(source, *how, "-k", "test_1")

    (outcome,) = inner.outcomes.values()
    assert (outcome.result, inner.status) == (result, status), inner.text
    assert ("DUTLink lost" in outcome.message, outcome.properties["hil_verdict"]) == (True, "lost")


LOST_AND_EXCUSED = program(__file__, "verdict_rows_lost_and_excused")
EXCUSES = {
    "pytest.xfail": """
def test_1(power):
    try:
        lose(power)
    except Exception:
        pytest.xfail("flaky")
""",
    "xfail marker": """
@pytest.mark.xfail
def test_1(power):
    try:
        lose(power)
    except Exception:
        pass
    assert power is None
""",
    "unittest.SkipTest in a function": """
def test_1(power):
    try:
        lose(power)
    except Exception:
        raise unittest.SkipTest("flaky")
""",
    "unittest.SkipTest": """
class TestCase(OnBoard):
    def test_1(self):
        try:
            lose(self.power)
        except Exception:
            raise unittest.SkipTest("flaky")
""",
    "TestCase.skipTest": """
class TestCase(OnBoard):
    def test_1(self):
        try:
            lose(self.power)
        except Exception:
            self.skipTest("flaky")
""",
    "unittest.expectedFailure": """
class TestCase(OnBoard):
    @unittest.expectedFailure
    def test_1(self):
        lose(self.power)
""",
    "skip after a lost console": program(__file__, "verdict_rows_skip_after_a_lost_console"),
    "skip after the except": """
def test_1(power):
    skip = False
    try:
        lose(power)
    except Exception:
        skip = True
    if skip:
        pytest.skip("flaky")
""",
    "skip in a fixture after the except": program(__file__, "verdict_rows_skip_in_a_fixture"),
    "skip in a fixture after the except, once more": program(__file__, "verdict_rows_skip_once_more"),
    "skip after an error of pyusb": """
def test_1(dutlink):
    device = usb.core.find(backend=dutlink.host.backend(), serial_number=dutlink.serial)
    fault("hang")
    skip = False
    try:
        device.ctrl_transfer(0xC1, 2, 0, 0, 64, timeout=200)
    except usb.core.USBError:
        skip = True
    if skip:
        pytest.skip("flaky")
""",
    "skip after the tty could not be opened": """
def test_1(power, console):
    fault("unplug")
    skip = False
    try:
        os.open(console.tty.path, os.O_RDWR)
    except OSError:
        skip = True
    if skip:
        pytest.skip("flaky")
""",
    "skip after the stick could not be opened": """
def test_1(dutlink):
    fault("unplug")
    skip = False
    try:
        (dutlink.host.dev / "sda").open("rb")
    except OSError:
        skip = True
    if skip:
        pytest.skip("flaky")
""",
}


@pytest.mark.parametrize(
    ("how", "status"),
    [((), Status.GREEN), (("--hil-require",), Status.BENCH_NOT_READY)],
    ids=["", "required"],
)
@pytest.mark.parametrize("excuse", EXCUSES)
def test_lost_board_is_called_lost_however_its_test_excuses_itself(
    excuse: str, how: tuple[str, ...], status: Status, run: RunOnSimulator
) -> None:
    inner = run(LOST_AND_EXCUSED + EXCUSES[excuse], *how)

    outcome = inner.outcomes["test_1"]
    fails = "error" if "fixture" in excuse else "failed"
    assert (outcome.result, inner.status) == (fails if how else "skipped", status), inner.text
    assert ("DUTLink lost" in outcome.message, outcome.properties["hil_verdict"]) == (True, "lost")


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_board_lost_in_a_subtest_skips_the_test_in_each_account(workers: str, run: RunOnSimulator) -> None:
    source = """
def test_1(subtests, power):
    power.read()
    with subtests.test("a"):
        lose(power)
    with subtests.test("b"):
        pass
"""

    inner = run(LOST_AND_EXCUSED + source, workers, "-v")

    assert "hardware: 2 planned, 1 ran, 0 failed, 1 skipped" in inner.text
    assert inner.results() == {"test_0_reads": "passed", "test_1": "skipped"}
    assert re.search(r"= 1 passed,( 1 subtests passed,)? (1|2) skipped", inner.text), inner.text[-300:]


@pytest.mark.parametrize("excuse", ["pytest.xfail", "xfail marker", "TestCase.skipTest"])
def test_board_that_answers_leaves_the_excuse_to_the_author_of_its_test(
    excuse: str, run: RunOnSimulator
) -> None:
    source = (LOST_AND_EXCUSED + EXCUSES[excuse]).replace('"unplug"', '"stall"')

    inner = run(source, "--hil-require")

    outcome = inner.outcomes["test_1"]
    excused = "skipped" if "skip" in excuse else "xfailed"
    assert (outcome.result, inner.status) == (excused, Status.GREEN), inner.text
    assert "hil_verdict" not in outcome.properties


def test_mixed_test_that_loses_its_board_fails_however_it_excuses_itself(run: RunOnSimulator) -> None:
    excused = EXCUSES["pytest.xfail"].replace("def", "@pytest.mark.mixed\ndef")

    inner = run(LOST_AND_EXCUSED + excused)

    assert (inner.outcomes["test_1"].result, inner.status) == ("failed", Status.BENCH_NOT_READY), inner.text


def test_expected_failure_stands_where_its_finally_meets_the_loss(run: RunOnSimulator) -> None:
    body = FAILS_AND_LOSES.replace("{body}", FAILING_BODIES["finally"])

    inner = run(body.replace("def test_1", "@pytest.mark.xfail\ndef test_1"))

    assert (inner.results(), inner.status) == ({"test_1": "xfailed"}, Status.GREEN), inner.text


@pytest.mark.parametrize("body", FAILING_BODIES)
def test_board_lost_while_a_failure_unwinds_leaves_the_failure(body: str, run: RunOnSimulator) -> None:
    inner = run(FAILS_AND_LOSES.replace("{body}", FAILING_BODIES[body]))

    assert (inner.results(), inner.status) == ({"test_1": "failed"}, Status.TESTS_FAILED), inner.text
    assert "1 planned, 1 ran, 1 failed, 0 skipped" in inner.text


@pytest.mark.parametrize("fault", ["deny", "no_backend"])
def test_board_that_answers_excuses_no_missing_file(fault: str, run: RunOnSimulator) -> None:
    inner = run(MISSES_A_FILE.replace("{fault}", fault))

    assert (inner.results(), inner.status) == ({"test_misses_a_file": "failed"}, Status.TESTS_FAILED), (
        inner.text
    )


@pytest.mark.parametrize("how", [(), ("--hil-require",), ("--hil-repeat=1",), ("--reruns=1",)], ids=str)
@pytest.mark.parametrize("parts", PARTS)
def test_failure_followed_by_a_loss_is_the_only_outcome(
    parts: str, how: tuple[str, ...], run: RunOnSimulator
) -> None:
    inner = run(FAILS_IN_PART.replace("{body}", PARTS[parts]), *how)

    assert "skipped" not in inner.results().values(), inner.text
    assert (counts_of(inner)[1], inner.status) == (
        "1 planned, 1 ran, 1 failed, 0 skipped",
        Status.TESTS_FAILED,
    ), inner.text


def test_system_exit_in_a_tear_down_between_tests_is_an_error_of_a_test(run: RunOnSimulator) -> None:
    inner = run(ENDS_IN_A_TEAR_DOWN)

    assert (inner.status, "INTERNALERROR" in inner.text) == (Status.TESTS_FAILED, False), inner.text
    assert (inner.outcomes["test_3"].result, inner.outcomes["test_4"].result) == ("error", "passed")


def test_probe_that_takes_longer_than_the_limit_is_no_time_out(run: RunOnSimulator) -> None:
    source = LOSES.format(fault='"hang"').replace("def test_1", "@pytest.mark.timeout(3.5)\ndef test_1")

    inner = run(source, "--hil-silence=4")

    assert inner.outcomes["test_1_loses_the_board"].result == "skipped", inner.text


def test_a_board_that_works_through_a_sequence_is_waited_for(
    run: RunOnSimulator, workers: tuple[str, ...]
) -> None:
    inner = run(WAITS_OUT, "--hil-silence=0.5", *workers)

    assert inner.results() == {"test_times_out_in_a_sequence": "failed", "test_comes_later": "passed"}


def test_board_lost_in_own_teardown_takes_the_pass_back_in_each_account(
    run: RunOnSimulator, workers: tuple[str, ...]
) -> None:
    inner = run(LOSES_AT_THE_END, *workers, "--hil-history=history.db")

    assert counts_of(inner) == ("1 skipped", "1 planned, 0 ran, 0 failed, 1 skipped"), inner.text
    assert inner.outcomes["test_passes"].result == "skipped"
    assert (inner.status, outcomes_in("history.db")) == (Status.GREEN, ["skipped"])


@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_board_lost_in_teardown_of_a_wider_fixture_leaves_the_pass(
    scope: str, run: RunOnSimulator, workers: tuple[str, ...]
) -> None:
    inner = run(lost_in_a(scope), *workers, "--hil-history=history.db")

    assert counts_of(inner) == ("1 passed", "1 planned, 1 ran, 0 failed, 0 skipped"), inner.text
    assert inner.outcomes["test_passes"].result == "passed"
    assert "1 x in a tear-down, after the test had its outcome: DUTLink lost" in inner.text
    assert (inner.status, outcomes_in("history.db")) == (Status.GREEN, ["passed"])


@pytest.mark.parametrize("scope", ["function", "module"])
@pytest.mark.parametrize(
    ("body", "outcome"),
    [("assert not power", "1 failed"), ("pytest.skip('x')", "1 skipped"), ("pytest.xfail('x')", "1 xfailed")],
)
def test_board_lost_in_teardown_leaves_the_outcome_of_the_body(
    body: str, outcome: str, scope: str, run: RunOnSimulator
) -> None:
    inner = run(lost_in_a(scope).replace("    power.read()", f"    {body}"))

    assert counts_of(inner)[0] == outcome, inner.text


def test_board_lost_in_teardown_is_an_error_where_hardware_is_required(run: RunOnSimulator) -> None:
    inner = run(lost_in_a("module"), "--hil-require")

    assert (counts_of(inner)[0], inner.status) == ("1 passed, 1 error", Status.BENCH_NOT_READY), inner.text


def test_a_board_that_answers_again_is_used_again(run: RunOnSimulator) -> None:
    source = LOSES.format(fault='"hang"').replace(
        LATER, "def test_2_wakes_it():\n    fault('hang', on=False)"
    )

    inner = run(source)

    assert inner.outcomes["test_3_comes_later_still"].result == "passed"


def test_a_board_that_was_plugged_in_again_is_used_again(run: RunOnSimulator) -> None:
    source = LOSES.format(fault='"unplug"').replace(LATER, "def test_2_replugs():\n    fault('replug')")

    inner = run(source)

    assert inner.outcomes["test_3_comes_later_still"].result == "passed", inner.text


def test_a_lost_board_does_not_open_the_debugger(run: RunOnSimulator) -> None:
    inner = run(LOSES.format(fault='"unplug"'), "--pdb")

    assert "(Pdb)" not in inner.text
    assert set(inner.results().values()) == {"skipped"}


def test_a_mixed_test_takes_the_board_if_there_is_one(run: RunOnSimulator, serial: str) -> None:
    inner = run(MIXED)

    assert inner.outcomes["test_mixed"].properties["hil_board"] == serial


def test_a_mixed_test_that_loses_its_board_fails(run: RunOnSimulator) -> None:
    source = LOSES.format(fault='"unplug"').replace("def test_1", "@pytest.mark.mixed\ndef test_1")

    inner = run(source)

    assert inner.outcomes["test_1_loses_the_board"].result == "failed"


def test_real_board_after_a_simulated_one_is_an_error(
    run: RunOnSimulator, simulator: SimulatorProcess, serial: str
) -> None:
    simulator.management.fault(serial, "unplug")
    prelude, _ = LOSES.split("def test_1")
    source = f"{prelude}{MIXED}\ndef test_replugs():\n    fault('replug')\n{READS}"

    inner = run(source)

    assert inner.outcomes["test_reads"].result == "error"
    assert "already use a simulated one" in inner.text


def test_simulated_boards_whose_process_ends_fail_their_tests_and_not_the_run(
    run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SimulatorProcess(boards=1) as simulator:
        port = simulator.ready["control_port"]
        monkeypatch.setenv("INNER_CONTROL", str(port))
        inner = run_suite(ENDS_THE_SIMULATOR, f"--hil-boards=sim@{port}")

    assert inner.results() == {"test_1_ends_it": "failed", "test_2_comes_later": "error"}, inner.text
    assert inner.status == Status.TESTS_FAILED


def test_a_board_that_was_lost_in_an_earlier_attempt_counts_as_used_in_the_last_one(
    run: RunOnSimulator, tmp_path: Path
) -> None:
    prelude, _ = LOSES.split("def test_1")
    source = f"""{prelude}
from pathlib import Path

@pytest.fixture
def answers_later(power):
    yield
    fault("hang", on=False)

@pytest.mark.flaky(reruns=1)
def test_1_hangs_once(power, answers_later):
    again = Path({str(tmp_path / "again")!r})
    fault("hang", on=not again.exists())
    again.touch()
    power.read()
"""

    inner = run(source, "--hil-require")

    assert "hardware: 1 planned, 1 ran, 0 failed, 0 skipped" in inner.text
    assert "hil_verdict" not in inner.outcomes["test_1_hangs_once"].properties
    assert inner.status == Status.GREEN
