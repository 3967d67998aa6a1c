"""Boards that are held by others, refuse, or go away, beside one that works: nothing is skipped for them."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.dutlink.power.power import OFF_AMPS
from hil.dutlink.timing import until
from hil.lab.locks.acquire import acquire
from hil.lab.locks.tickets import waiting_tickets
from hil.lab.safe_state.record import BoardRecord, BoardState, read_record, write_record
from hil.sim.process import SimulatorProcess
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from subprocess import Popen

    from hil.lab.locks.tickets import Ticket
    from tests.support.suite_run import InnerRun, RunSuite

pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

MANY = """
import pytest, time

@pytest.fixture(scope="module")
def rests_on_it(dutlink):
    return dutlink

@pytest.mark.parametrize("number", range(8))
def test_any(rests_on_it, number):
    rests_on_it.power.read()
    time.sleep(0.1)
"""
LOSES_ONE = """
import os, pytest, time
from hil.sim.management.client import ManagementClient

@pytest.mark.parametrize("number", range(8))
def test_any(dutlink, number):
    if dutlink.serial == os.environ["BAD"]:
        with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
            client.fault(dutlink.serial, "unplug")
    dutlink.power.read()
    time.sleep(0.2)
"""
OWN_TESTS = program(__file__, "unusable_boards_own_tests")
ONE_COMES_BACK = program(__file__, "unusable_boards_one_comes_back")
HOLD = "import sys; disk = open(sys.argv[1], 'rb'); print('open', flush=True); sys.stdin.read()"
OPENS_THE_FAULTY = """
import hil, os, pytest
from hil.errors import NotLeasedError

def test_opens_the_faulty_board(dutlink):
    with pytest.raises(NotLeasedError):
        hil.open_board(serial=os.environ["BAD"], console=False)
"""
READS = "def test_1(power): power.read()\ndef test_2(power): power.read()\n"

RunOnTwo: TypeAlias = "Callable[..., InnerRun]"


@pytest.fixture(scope="module")
def two_boards() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=2) as process:
        yield process


@pytest.fixture
def bad(two_boards: SimulatorProcess) -> Iterator[str]:
    """The serial number of one of the two, without faults before and after."""
    serial = two_boards.serials()[0]
    two_boards.management.clear(serial)
    yield serial
    two_boards.management.clear(serial)


@pytest.fixture
def run(
    two_boards: SimulatorProcess, bad: str, run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> RunOnTwo:
    port = two_boards.ready["control_port"]
    monkeypatch.setenv("INNER_CONTROL", str(port))
    monkeypatch.setenv("BAD", bad)
    return lambda source, *arguments: run_suite(
        source, f"--hil-boards=sim@{port}", "--hil-lab=none", "--hil-silence=1", *arguments
    )


def test_workers_give_tests_back_whose_board_another_user_holds(
    run: RunOnTwo, bad: str, pytester: pytest.Pytester
) -> None:
    with acquire(bad, folder=pytester.path / "locks"):
        inner = run(MANY, "-n2", "--hil-wait=0.5")

    assert (set(inner.results().values()), inner.status) == ({"passed"}, Status.GREEN), inner.text
    assert len(inner.outcomes) == 8


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_board_that_is_given_back_during_the_run_runs_its_own_tests(
    workers: str, run: RunOnTwo, bad: str, pytester: pytest.Pytester, two_boards: SimulatorProcess
) -> None:
    good = two_boards.serials()[1]
    lab = "".join(
        f'[place.{tag}]\nserial = "{one}"\ntags = ["{tag}"]\n' for tag, one in (("a", bad), ("b", good))
    )
    (pytester.path / "busy.toml").write_text(lab)
    lease = ExitStack()
    lease.enter_context(acquire(bad, folder=pytester.path / "locks"))
    with lease:
        timer = threading.Timer(12.0, lease.close)
        timer.start()
        inner = run(
            OWN_TESTS, workers, "--hil-wait=3" if workers != "-n0" else "--hil-wait=60", "--hil-lab=busy.toml"
        )
        timer.join()

    assert set(inner.results().values()) == {"passed"}, inner.text


def test_worker_s_test_passes_on_a_board_that_was_busy_until_the_worker_waited(
    run: RunOnTwo, bad: str, pytester: pytest.Pytester
) -> None:
    folder = pytester.path / "locks"
    lease = ExitStack()
    lease.enter_context(acquire(bad, folder=folder))
    waited: list[Ticket] = []

    def give_back() -> None:
        with lease:
            waited.extend(until(lambda: waiting_tickets(folder) or None, 60.0) or ())

    giver = threading.Thread(target=give_back)
    with lease:
        giver.start()
        inner = run(f"{READS}def test_plain(): pass\n", "-n2", "--hil-wait=60", f"--hil-board={bad}")
        giver.join()

    assert [one.serials for one in waited] == [(bad,)]
    assert inner.results() == dict.fromkeys(("test_1", "test_2", "test_plain"), "passed"), inner.text
    boards = [inner.outcomes[name].properties["hil_board"] for name in ("test_1", "test_2")]
    assert boards == [bad, bad]


EACH_WAITS_FOR_THE_OTHER = program(__file__, "unusable_boards_each_waits_for_the_other")


def test_test_passes_on_a_board_that_another_worker_of_the_run_held(run: RunOnTwo, bad: str) -> None:
    inner = run(EACH_WAITS_FOR_THE_OTHER, "-n2", "--dist=load", "--hil-wait=60", f"--hil-board={bad}", "-v")

    assert inner.results() == dict.fromkeys(("test_holds[0]", "test_holds[1]"), "passed"), inner.text
    assert {"[gw0]", "[gw1]"} <= set(inner.text.split())
    assert "held for " in inner.text


@pytest.mark.parametrize("fault", ["hang", "deny", "boot_loader"])
def test_workers_give_tests_back_whose_board_cannot_be_opened(
    fault: str, run: RunOnTwo, bad: str, two_boards: SimulatorProcess
) -> None:
    two_boards.management.fault(bad, fault)

    inner = run(MANY, "-n2")

    assert set(inner.results().values()) == {"passed"}, inner.text


def test_workers_skip_no_test_but_the_one_that_lost_the_board(run: RunOnTwo) -> None:
    inner = run(LOSES_ONE, "-n2")

    results = list(inner.results().values())
    assert (results.count("skipped"), results.count("passed")) == (1, 7), inner.text


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_faulty_board_makes_the_run_red_though_another_one_runs_its_tests(
    workers: str, run: RunOnTwo, bad: str, two_boards: SimulatorProcess
) -> None:
    two_boards.management.fault(bad, "stall", count=100000)

    inner = run(MANY, workers)

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert inner.status == Status.BENCH_NOT_READY
    assert inner.text.count(f"FAULTY: board sim-1 ({bad})") == 1
    assert bad in inner.suite_properties["hil_faults"]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_faulty_board_fails_its_tests_in_every_run(
    workers: str, run: RunOnTwo, bad: str, two_boards: SimulatorProcess
) -> None:
    two_boards.management.fault(bad, "stall", count=100000)

    runs = [run(READS, f"--hil-board={bad}", "--hil-wait=5", workers) for _ in range(2)]

    for inner in runs:
        assert (set(inner.results().values()), inner.status) == ({"error"}, Status.TESTS_FAILED), inner.text


def test_board_whose_dut_stays_on_is_a_fault_in_every_run(
    run_suite: RunSuite, two_boards: SimulatorProcess, bad: str
) -> None:
    with open_driver(simulated_host(two_boards.ready), bad, console=False) as board:
        board.power.force_on()
        assert until(lambda: board.power.read().amps > OFF_AMPS, 60)
    two_boards.management.fault(bad, "stays_on")

    option = f"--hil-boards=sim@{two_boards.ready['control_port']}"
    runs = [run_suite(READS, option, f"--hil-board={bad}", "--hil-wait=20") for _ in range(2)]

    for inner in runs:
        assert set(inner.results().values()) == {"error"}, inner.text
        assert "FAULTY: " in inner.text
        assert inner.status == Status.TESTS_FAILED


def test_test_cannot_open_a_faulty_board_that_its_run_tried_first(
    run: RunOnTwo, two_boards: SimulatorProcess, bad: str, pytester: pytest.Pytester
) -> None:
    with open_driver(simulated_host(two_boards.ready), bad, console=False) as board:
        board.power.force_on()
        assert until(lambda: board.power.read().amps > OFF_AMPS, 60)
    two_boards.management.fault(bad, "stays_on")
    write_record(pytester.path / "locks", bad, BoardRecord(BoardState.SAFE))

    inner = run(OPENS_THE_FAULTY)

    assert bad in inner.suite_properties["hil_faults"]
    assert inner.results() == {"test_opens_the_faulty_board": "passed"}, inner.text


def test_board_whose_relay_sticks_between_two_runs_is_a_fault_of_the_next(
    run_suite: RunSuite, two_boards: SimulatorProcess, bad: str
) -> None:
    option = f"--hil-boards=sim@{two_boards.ready['control_port']}"
    source = READS + "def test_3(power):\n    power.force_on()\n    while power.read().amps < 0.1: pass\n"
    first = run_suite(READS, option, f"--hil-board={bad}")
    two_boards.management.fault(bad, "stays_on")
    run_suite(source, option, f"--hil-board={bad}")

    after = run_suite(READS, option, f"--hil-board={bad}", "--hil-wait=20")

    assert set(first.results().values()) == {"passed"}, first.text
    assert set(after.results().values()) == {"error"}, after.text
    assert "FAULTY: " in after.text


def test_board_that_its_guard_made_safe_after_its_worker_ended_is_no_trouble(
    run: RunOnTwo, bad: str, pytester: pytest.Pytester, two_boards: SimulatorProcess
) -> None:
    boards = (("a", bad), ("b", two_boards.serials()[1]))
    lab = "".join(f'[place.{tag}]\nserial = "{one}"\ntags = ["{tag}"]\n' for tag, one in boards)
    (pytester.path / "two.toml").write_text(lab)

    inner = run(ONE_COMES_BACK, "-n2", "--hil-lab=two.toml")

    assert inner.results() == {"test_loses_it": "skipped", "test_goes_on": "passed"}, inner.text
    assert "MADE SAFE LATE, by its guard or a later holder" in inner.text
    assert "the DUT may have power" not in inner.text


def test_board_that_comes_back_after_the_last_test_and_is_not_made_safe_makes_the_run_red(
    run: RunOnTwo, bad: str
) -> None:
    inner = run(program(__file__, "unusable_boards_refuses_at_last"), f"--hil-board={bad}")

    assert (set(inner.results().values()), inner.status != Status.GREEN) == ({"passed"}, True), inner.text
    assert "NOT MADE SAFE" in inner.text


@pytest.fixture
def user_of_the_stick(two_boards: SimulatorProcess, bad: str, run: RunOnTwo) -> Iterator[Popen[bytes]]:
    """A program that has the stick of the bad board open; where the sticks come is known."""
    del run  # it names the lock folder, where that is kept
    with open_driver(simulated_host(two_boards.ready), two_boards.serials()[1], console=False) as other:
        other.make_safe()
        other.storage.learn()
        other.make_safe()
    with open_driver(simulated_host(two_boards.ready), bad, console=False) as board:
        board.make_safe()
        board.storage.host()
        node = board.storage.wait_for_node()
        command = [sys.executable, "-c", HOLD, node]
        with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == b"open\n"
            yield program
        board.storage.off(force=True)


@pytest.mark.parametrize("state", [BoardState.UNKNOWN, BoardState.SAFE])
def test_run_does_not_pull_a_stick_in_use_and_its_tests_name_the_user(  # noqa: PLR0913, PLR0917 - fixtures
    state: BoardState,
    user_of_the_stick: Popen[bytes],
    run: RunOnTwo,
    bad: str,
    pytester: pytest.Pytester,
    two_boards: SimulatorProcess,
) -> None:
    if state is BoardState.SAFE:
        write_record(pytester.path / "locks", bad, BoardRecord(state).with_position("host"))

    inner = run(READS, f"--hil-board={bad}")

    assert (set(inner.results().values()), inner.status) == ({"error"}, Status.TESTS_FAILED), inner.text
    assert f"is open in process {user_of_the_stick.pid}" in inner.text
    assert f"hil storage off --force --board {bad}" in inner.text
    assert two_boards.management.state(bad)["mux"] == "host"
    assert read_record(pytester.path / "locks", bad).state is state


def test_run_uses_another_board_than_the_one_whose_stick_a_program_uses(
    user_of_the_stick: Popen[bytes], run: RunOnTwo, bad: str, two_boards: SimulatorProcess
) -> None:
    inner = run(READS)

    assert (set(inner.results().values()), inner.status) == ({"passed"}, Status.BENCH_NOT_READY), inner.text
    assert f"is open in process {user_of_the_stick.pid}" in inner.suite_properties["hil_faults"]
    assert two_boards.management.state(bad)["mux"] == "host"


def test_run_takes_the_stick_of_a_board_that_a_dead_run_left_and_says_so(
    user_of_the_stick: Popen[bytes],
    run: RunOnTwo,
    bad: str,
    pytester: pytest.Pytester,
    two_boards: SimulatorProcess,
) -> None:
    write_record(pytester.path / "locks", bad, BoardRecord(BoardState.UNSAFE))

    inner = run(READS, f"--hil-board={bad}")

    assert (set(inner.results().values()), inner.status) == ({"passed"}, Status.GREEN), inner.text
    assert "the stick was taken away although" in inner.text
    assert f"is open in process {user_of_the_stick.pid}" in inner.text
    assert two_boards.management.state(bad)["mux"] == "off"
