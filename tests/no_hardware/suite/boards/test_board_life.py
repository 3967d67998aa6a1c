"""What rests on a board ends before the board is given back, and is made again for the next one."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.sim.process import SimulatorProcess
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.suite_run import InnerRun, RunSuite

pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

RunOnTwo: TypeAlias = "Callable[..., InnerRun]"
BOTH_WAYS = pytest.mark.parametrize("workers", ["-n0", "-n2"])

EVERY_WAY = program(__file__, "board_life_every_way")
ASYNC = program(__file__, "board_life_async")
KEPT = program(__file__, "board_life_kept")
RAISES = program(__file__, "board_life_raises")
HANGS = program(__file__, "board_life_hangs")
STOPPED = program(__file__, "board_life_stopped")
COMES_BACK = program(__file__, "board_life_comes_back")
LOST = program(__file__, "board_life_lost")
BLOCKED = program(__file__, "board_life_blocked")
SKIPPED_LAST = """
import pytest
@pytest.fixture(scope="module")
def fails_at_its_end(dutlink):
    yield dutlink
    raise ZeroDivisionError

def test_1(fails_at_its_end): pass
@pytest.mark.skip
def test_2(fails_at_its_end): pass
"""
MORE = "def test_more(dutlink): dutlink.power.read()\n"


@pytest.fixture(scope="module")
def two_boards() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(boards=2) as process:
        host = simulated_host(process.ready)
        for serial, tag in zip(process.serials(), ("one", "two"), strict=True):
            with open_driver(host, serial, console=False) as board:
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
def test_fixtures_end_before_a_test_that_is_marked_skip(run: RunOnTwo, workers: str) -> None:
    inner = run(SKIPPED_LAST, workers)

    assert inner.results() == {"test_1": "error", "test_2": "skipped"}, inner.text


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
    inner = run(STOPPED.format(act=act), *more)

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
