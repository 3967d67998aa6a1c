"""What rests on a board ends before the board is given back, and is made again for the next one."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_board
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.suite_run import InnerRun, RunSuite

pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

RunOnTwo: TypeAlias = "Callable[..., InnerRun]"
BOTH_WAYS = pytest.mark.parametrize("workers", ["-n0", "-n2"])

HEAD = """
import contextlib, json, os, threading, time, unittest
import pytest
from hil.errors import LeaseEndedError, UsbBlockedError
from hil.lab.locks.acquire import acquire
from hil.sim.management.client import ManagementClient

ONE, TWO = os.environ["ONE"], os.environ["TWO"]
sim = ManagementClient(int(os.environ["INNER_CONTROL"]))
one, two = pytest.mark.hardware(tags="one"), pytest.mark.hardware(tags="two")
KEPT = []

def note(*what):
    with open("notes", "a") as notes:
        notes.write(json.dumps(what) + "\\n")

def supply(serial):
    return sim.state(serial)["supply"]
"""
EVERY_WAY = (
    HEAD
    + """
@contextlib.contextmanager
def rests(name, board):
    note(name, "up", board.serial)
    yield board
    note(name, "down", board.serial, board.power.read() is not None)

@pytest.fixture(scope="session")
def dutlink(dutlink):  # extends the fixture of the parent
    with rests("override", dutlink):
        yield dutlink

@pytest.fixture(scope="session")
def by_name(dutlink):
    with rests("by_name", dutlink):
        yield dutlink

@pytest.fixture(scope="session")
def dynamic(request):
    with rests("dynamic", request.getfixturevalue("dutlink")) as board:
        yield board

@pytest.fixture(scope="session")
def on_dynamic(dynamic):
    with rests("on_dynamic", dynamic):
        yield dynamic

@pytest.fixture(scope="module")
def made_later(request):
    boards = []
    def make():
        boards.append(request.getfixturevalue("dutlink"))
        note("made_later", "up", boards[-1].serial)
        return boards[-1]
    yield make
    for board in boards:
        note("made_later", "down", board.serial, board.power.read() is not None)

@pytest.fixture(scope="session", params=[1, 2])
def numbered(request, dutlink):
    with rests(f"numbered {request.param}", dutlink):
        yield dutlink

@pytest.fixture(scope="session")
def unrelated():
    note("unrelated", "up", "")
    yield
    note("unrelated", "down", "")

def uses(serial, *boards):
    for board in boards:
        assert board.serial == serial
        board.power.force_on()
    assert supply(serial)

@one
def test_1(dutlink, by_name, dynamic, on_dynamic, made_later, unrelated):
    uses(ONE, dutlink, by_name, dynamic, on_dynamic, made_later())

@one
def test_2(numbered, made_later):
    uses(ONE, numbered, made_later())

@two
def test_3(dutlink, by_name, dynamic, on_dynamic, made_later, unrelated):
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    with acquire(ONE) if alone else contextlib.nullcontext():  # was given back
        assert not alone or not supply(ONE)
        uses(TWO, dutlink, by_name, dynamic, on_dynamic, made_later())

class TestOld(unittest.TestCase):
    @pytest.fixture(autouse=True, scope="class")
    def board(self, request):
        type(self).dut = request.getfixturevalue("dutlink")
        with rests("unittest", self.dut):
            yield

    @two
    def test_4(self):
        uses(TWO, self.dut)

    @one
    def test_5(self):
        uses(ONE, self.dut)
"""
)
ASYNC = (
    HEAD
    + """
import pytest_asyncio

@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def awaited(dutlink):
    note("awaited", "up", dutlink.serial)
    yield dutlink
    note("awaited", "down", dutlink.serial, dutlink.power.read() is not None)

@one
@pytest.mark.asyncio(loop_scope="session")
async def test_1(awaited):
    assert awaited.serial == ONE

@two
@pytest.mark.asyncio(loop_scope="session")
async def test_2(awaited):
    assert awaited.serial == TWO
"""
)
KEPT = (
    HEAD
    + """
def left_behind(power):
    for _ in range(2000):
        try:
            power.force_on()
        except LeaseEndedError as error:
            return note("refused", str(error))
        time.sleep(0.01)

@one
def test_1(dutlink):
    KEPT.append(dutlink)
    threading.Thread(target=left_behind, args=(dutlink.power,), daemon=True).start()

@two
def test_2(dutlink):
    assert not supply(ONE)
    with pytest.raises(LeaseEndedError, match=f"{ONE} was given back at .*, after test_inner.py::test_1"):
        KEPT[0].power.force_on()
    assert not supply(ONE)
"""
)
RAISES = (
    HEAD
    + """
@pytest.fixture(scope="session")
def ends_badly(dutlink):
    yield dutlink
    raise RuntimeError("at its end")

@pytest.fixture(scope="session")
def ends_well(ends_badly):
    yield
    note("ended well")

@one
def test_1(ends_well): pass
@one
def test_2(ends_well): pass
@two
def test_3(dutlink): dutlink.power.read()
def test_4(): pass
"""
)
HANGS = (
    HEAD
    + """
@pytest.fixture(scope="session")
def hangs(dutlink):
    yield
    time.sleep(60)

@one
@pytest.mark.timeout(3, method="signal")
def test_1(hangs): pass
@two
def test_2(dutlink): dutlink.power.read()
def test_3(): pass
"""
)
STOPPED = (
    HEAD
    + """
@pytest.fixture(scope="session")
def booted(dutlink):
    dutlink.power.force_on()
    yield dutlink
    note("ended", dutlink.power.read() is not None)
    raise RuntimeError("at its end")

def test_1(booted): pass
def test_2(booted): {}
def test_3(booted): pass
"""
)
COMES_BACK = (
    HEAD
    + """
@pytest.fixture(scope="session")
def booted(dutlink):
    dutlink.power.force_on()
    note("booted")
    yield dutlink

@one
def test_1(booted): assert supply(ONE)

@one
def test_2_meets_it(booted):
    {meets}

def test_3_no_board():
    {between}

@one
@pytest.mark.parametrize("number", range(2))
def test_4(booted, number):
    booted.power.read()
    assert supply(ONE), "booted is a fixture that switched the DUT on"
"""
)
LOST = (
    HEAD
    + """
@pytest.fixture(scope="session")
def booted(dutlink):
    dutlink.power.on()
    yield dutlink
    dutlink.power.off()

def test_1(booted): pass
def test_2(booted):
    for serial in (ONE, TWO):
        sim.fault(serial, "unplug")
    booted.power.read()
def test_3(): pass
def test_4(): pass
"""
)
BLOCKED = (
    HEAD
    + """
from hil.sim.process import SimulatorProcess
from hil.boards.sources import simulated_host
from hil.dutlink.board import open_board

@pytest.fixture(scope="module")
def booted(dutlink):
    dutlink.power.on()
    KEPT.append(dutlink)
    yield dutlink
    dutlink.power.off()
    note("off")

def test_1(booted): booted.power.read()

def test_2_board_of_the_run():
    for use in (KEPT[0].power.read, KEPT[0].storage.host, lambda: KEPT[0].console.send("x")):
        with pytest.raises(UsbBlockedError):
            use()

def test_3_run_s_boards_opened_anew():
    with pytest.raises(UsbBlockedError):
        open_board(simulated_host(sim.hello()), ONE)

def test_3_own_simulator():
    with SimulatorProcess(boards=1) as own, open_board(simulated_host(own.ready)) as board:
        board.power.force_on()

def test_4_last_of_the_module():
    pass
"""
)
MORE = "def test_more(dutlink): dutlink.power.read()\n"


@pytest.fixture(scope="module")
def two_boards() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=2) as process:
        host = simulated_host(process.ready)
        for serial, tag in zip(process.serials(), ("one", "two"), strict=True):
            with open_board(host, serial, console=False) as board:
                board.settings.write(tags=tag)
        yield process


@pytest.fixture
def run(
    two_boards: SimulatorProcess, run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunOnTwo]:
    port = two_boards.ready["control_port"]
    one, two = two_boards.serials()
    for name, value in {"INNER_CONTROL": port, "ONE": one, "TWO": two}.items():
        monkeypatch.setenv(name, str(value))
    for serial in (one, two):
        two_boards.management.clear(serial)

    def run(source: str, *arguments: str) -> InnerRun:
        return run_suite(source, f"--hil-boards=sim@{port}", "--hil-wait=5", *arguments)

    yield run
    for serial in (one, two):
        two_boards.management.clear(serial)
        assert not two_boards.management.state(serial)["supply"]


@pytest.fixture
def notes(pytester: pytest.Pytester) -> Callable[[], list[list[Any]]]:
    """What the tests inside noted."""

    def read() -> list[list[Any]]:
        path = pytester.path / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return read


def pairs(noted: list[list[Any]]) -> Counter[tuple[str, str]]:
    """How often each fixture began on each board; every one ended, on a board that still answered."""
    begun = Counter((name, serial) for name, event, serial, *_ in noted if event == "up")
    ended = Counter((name, serial) for name, event, serial, *alive in noted if event == "down" and all(alive))
    assert begun == ended
    return begun


def test_fixtures_end_before_their_board_is_released_however_they_got_it(
    run: RunOnTwo, notes: Callable[[], list[list[Any]]], two_boards: SimulatorProcess
) -> None:
    inner = run(EVERY_WAY)

    assert set(inner.results().values()) == {"passed"}, inner.text
    began = pairs(notes())
    one, two = two_boards.serials()
    for name in ("by_name", "dynamic", "on_dynamic"):
        assert (began[name, one], began[name, two]) == (1, 1)
    assert began["unrelated", ""] == 1
    boards = {name: outcome.properties["hil_board"] for name, outcome in inner.outcomes.items()}
    assert (boards["test_1"], boards["test_3"], boards["test_5"]) == (one, two, one)


def test_fixtures_end_before_their_board_is_released_in_parallel_runs(
    run: RunOnTwo, notes: Callable[[], list[list[Any]]]
) -> None:
    inner = run(EVERY_WAY, "-n2")

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert pairs(notes())


def test_async_fixtures_end_before_their_board_is_released(
    run: RunOnTwo, notes: Callable[[], list[list[Any]]]
) -> None:
    inner = run(ASYNC, "-o", "asyncio_default_fixture_loop_scope=function")

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert len(pairs(notes())) == 2


def test_board_that_a_test_kept_is_refused_after_its_lease(
    run: RunOnTwo, notes: Callable[[], list[list[Any]]]
) -> None:
    inner = run(KEPT)

    assert set(inner.results().values()) == {"passed"}, inner.text
    ((_, refused),) = notes()
    assert "the next test wants another board" in refused


@pytest.mark.parametrize("more", [(), ("-n2",), ("--hil-repeat=1",), ("--reruns=1",)], ids=str)
def test_tear_down_that_raises_is_one_error_of_the_last_test_on_the_board(
    run: RunOnTwo, notes: Callable[[], list[list[Any]]], more: tuple[str, ...]
) -> None:
    inner = run(RAISES, *more)

    assert "INTERNALERROR" not in inner.text
    assert inner.results() == {"test_1": "passed", "test_2": "error", "test_3": "passed", "test_4": "passed"}
    assert "at its end" in inner.outcomes["test_2"].message
    assert inner.status == 1
    assert notes()[0] == ["ended well"]


@BOTH_WAYS
def test_tear_down_that_hangs_is_ended_by_the_time_limit_of_its_test(run: RunOnTwo, workers: str) -> None:
    inner = run(HANGS, workers)

    assert inner.results() == {"test_1": "error", "test_2": "passed", "test_3": "passed"}, inner.text
    assert "Timeout" in inner.outcomes["test_1"].message


@pytest.mark.parametrize(
    ("act", "more", "status"),
    [
        ("raise KeyboardInterrupt", (), 2),
        ("pytest.exit('enough')", (), 2),
        ("assert False", ("-x",), 1),
        ("booted.power.force_off(); raise SystemExit", (), None),
    ],
    ids=["ctrl-c", "exit", "first failure", "system exit"],
)
def test_run_that_stops_early_ends_fixtures_of_the_board(
    run: RunOnTwo,
    notes: Callable[[], list[list[Any]]],
    act: str,
    more: tuple[str, ...],
    status: int | None,
) -> None:
    inner = run(STOPPED.format(act), *more)

    assert notes() == [["ended", True]], inner.text
    assert "INTERNALERROR" not in inner.text
    assert "at its end" in inner.text
    assert status is None or inner.status == status


@pytest.mark.parametrize(
    ("meets", "between", "met"),
    [
        ('sim.fault(ONE, "hang"); booted.power.read()', "sim.clear(ONE)", "skipped"),
        ('sim.fault(ONE, "unplug"); booted.power.read()', "sim.clear(ONE); time.sleep(1)", "skipped"),
        ('sim.fault(ONE, "unplug"); sim.clear(ONE); booted.power.read()', "pass", "failed"),
        ('sim.fault(ONE, "unplug"); sim.clear(ONE); time.sleep(1)', "pass", "passed"),
        ("pass", 'sim.fault(ONE, "unplug"); sim.clear(ONE); time.sleep(1)', "passed"),
    ],
    ids=["silent", "replugged", "blinks", "blinks unseen", "blinks between"],
)
def test_board_that_comes_back_is_opened_again_and_fixtures_made_again(
    run: RunOnTwo, notes: Callable[[], list[list[Any]]], meets: str, between: str, met: str
) -> None:
    inner = run(COMES_BACK.format(meets=meets, between=between))

    assert inner.results() == {
        "test_1": "passed",
        "test_2_meets_it": met,
        "test_3_no_board": "passed",
        "test_4[0]": "passed",
        "test_4[1]": "passed",
    }, inner.text
    assert notes() == [["booted"]] * 2


def test_lost_board_is_one_skip_although_the_tear_down_of_its_fixture_meets_it_too(run: RunOnTwo) -> None:
    inner = run(LOST)

    assert "3 passed, 1 skipped" in inner.text
    assert inner.outcomes["test_2"].result == "skipped"


def test_lost_boards_end_no_parallel_run(run: RunOnTwo) -> None:
    inner = run(LOST, "-n2")

    assert (len(inner.outcomes), "INTERNALERROR" in inner.text) == (4, False)
    assert inner.outcomes["test_2"].result == "skipped"


def test_board_of_the_run_is_blocked_for_no_hardware_tests_and_not_for_its_own_tear_down(
    run: RunOnTwo, notes: Callable[[], list[list[Any]]], pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_more=MORE)
    inner = run(BLOCKED)

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert notes() == [["off"]]
