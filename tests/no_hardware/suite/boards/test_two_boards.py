"""Real runs of tests that use two boards at once, on simulated boards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import pytest

from hil.lab.locks.acquire import acquire
from hil.sim.dut.image import build_image
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import InnerRun, RunSuite

SIMULATOR = {"boards": 2, "speed": 5}
pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

RunOnTwo: TypeAlias = "Callable[..., InnerRun]"

BEGINNING = """
import pytest
two = pytest.mark.hardware(boards=2)
roles = pytest.mark.hardware(boards={"server": "ethernet", "client": "wifi"})
def ask(*boards):
    for board in boards:
        board.power.read()
    return [board.serial for board in boards]
"""


@pytest.fixture
def lab(simulator: SimulatorProcess, pytester: pytest.Pytester) -> str:
    """The option for a lab file with the two boards."""
    one, two = simulator.serials()
    pytester.makefile(
        ".toml",
        two=f'[place.one]\nserial = "{one}"\ntags = ["wifi"]\n'
        f'[place.two]\nserial = "{two}"\ntags = ["ethernet"]\n',
    )
    return "--hil-lab=two.toml"


@pytest.fixture
def run(run_on_simulator: RunSuite, lab: str) -> RunOnTwo:
    return lambda source, *arguments: run_on_simulator(BEGINNING + source, lab, *arguments)


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_dutlinks_has_two_boards_and_dutlink_is_the_first(
    workers: str, run: RunOnTwo, simulator: SimulatorProcess
) -> None:
    source = """
@two
def test_two(dutlink, dutlinks):
    assert list(dutlinks) == [0, 1]
    assert dutlinks[0] is dutlink
    assert len(set(ask(*dutlinks.values()))) == 2
    for board in dutlinks.values():
        board.power.on()
"""
    inner = run(source, workers)

    assert inner.results() == {"test_two": "passed"}, inner.text
    assert {simulator.management.state(serial)["supply"] for serial in simulator.serials()} == {False}
    for serial in simulator.serials():
        assert f"({serial}), firmware" in inner.text


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_dutlinks_maps_roles_to_boards_with_their_tags(
    workers: str, run: RunOnTwo, simulator: SimulatorProcess
) -> None:
    one, two = simulator.serials()
    source = f"""
@roles
def test_roles(dutlink, dutlinks):
    assert ask(dutlinks["server"], dutlinks["client"]) == ["{two}", "{one}"]
    assert dutlink is dutlinks["server"]
"""
    inner = run(source, workers)

    assert inner.results() == {"test_roles": "passed"}, inner.text
    assert inner.outcomes["test_roles"].properties["hil_boards"] == f"server={two} client={one}"


@pytest.mark.parametrize("workers", ["-n0", "-n3"])
def test_boards_of_a_test_go_to_other_tests_before_and_after_it(workers: str, run: RunOnTwo) -> None:
    source = program(__file__, "two_boards_six_tests")
    inner = run(source, workers)

    assert inner.results() == dict.fromkeys((f"test_{one}" for one in "abcdef"), "passed"), inner.text


def test_boards_of_a_test_are_all_free_if_one_of_them_is_busy(
    run: RunOnTwo, simulator: SimulatorProcess
) -> None:
    one, two = simulator.serials()
    source = "@two\ndef test_two(dutlinks): ask(*dutlinks.values())\ndef test_one(dutlink): ask(dutlink)\n"
    with acquire(two):
        inner = run(source, "--hil-wait=0.2")

    assert inner.results() == {"test_two": "skipped", "test_one": "passed"}, inner.text
    assert "DUTLink busy" in inner.outcomes["test_two"].message
    assert two in inner.outcomes["test_two"].message
    assert inner.outcomes["test_one"].properties["hil_board"] == one


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_boards_of_a_test_that_loses_one_go_on_without_it(
    workers: str, run: RunOnTwo, simulator: SimulatorProcess
) -> None:
    one, two = simulator.serials()
    source = f"""
import os
from hil.sim.management.client import ManagementClient
@roles
def test_lost(dutlinks):
    ask(*dutlinks.values())
    with ManagementClient({simulator.ready["control_port"]}) as client:
        client.fault("{one}", "unplug")
    dutlinks["client"].power.read()
def test_next(dutlink): ask(dutlink)
"""
    try:
        inner = run(source, workers)
    finally:
        simulator.management.clear(one)

    assert inner.results() == {"test_lost": "skipped", "test_next": "passed"}, inner.text
    assert "DUTLink lost" in inner.outcomes["test_lost"].message
    assert f"board one ({one})" in inner.outcomes["test_lost"].message
    assert inner.outcomes["test_next"].properties["hil_board"] == two
    assert not simulator.management.state(two)["supply"]


def test_boards_of_a_test_that_are_too_few_skip_it(run: RunOnTwo) -> None:
    source = "@pytest.mark.hardware(boards=3)\ndef test_three(dutlinks): ask(*dutlinks.values())\n"

    inner, required = run(source), run(source, "--hil-require")

    assert inner.results() == {"test_three": "skipped"}, inner.text
    assert "this test uses 3 boards at once" in inner.outcomes["test_three"].message
    assert required.status == Status.BENCH_NOT_READY


def test_boards_of_a_test_with_an_unknown_tag_fail_it(run: RunOnTwo) -> None:
    source = (
        '@pytest.mark.hardware(boards={"server": "ethernet", "client": "wfi"})\n'
        'def test_misspelt(dutlinks): ask(dutlinks["server"])\n'
    )
    inner = run(source)

    assert inner.results() == {"test_misspelt": "error"}, inner.text
    assert "no board has the tag wfi" in inner.outcomes["test_misspelt"].message


def test_boards_of_a_test_need_a_run_that_may_use_several(run: RunOnTwo) -> None:
    inner = run("@two\ndef test_two(dutlinks): ask(*dutlinks.values())\n", "--hil-board=one")

    assert inner.results() == {"test_two": "error"}, inner.text
    assert "--hil-board one lets this run use one board only" in inner.outcomes["test_two"].message


def test_boards_of_a_test_must_all_be_asked(run: RunOnTwo, simulator: SimulatorProcess) -> None:
    inner = run('@roles\ndef test_half(dutlinks): ask(dutlinks["server"])\n', "--hil-require")

    assert inner.results() == {"test_half": "failed"}, inner.text
    assert f"never asked board one ({simulator.serials()[0]})" in inner.outcomes["test_half"].message


def test_two_duts_talk_over_their_wire(run: RunOnTwo) -> None:
    inner = run(program(__file__, "two_boards_talk"))

    assert inner.results() == {"test_talk": "passed"}, inner.text


def test_image_of_the_run_is_put_on_both_boards(run: RunOnTwo, pytester: pytest.Pytester) -> None:
    build_image(pytester.path / "both.img", "both")
    source = """
@two
def test_boots(dutlinks, image):
    for board in dutlinks.values():
        board.power.cycle()
    for board in dutlinks.values():
        board.console.expect("running both", timeout_s=60)
"""
    inner = run(source, "--hil-image=both.img")

    assert inner.results() == {"test_boots": "passed"}, inner.text


def test_report_shows_both_consoles_in_the_order_of_time_and_both_power_traces(
    run: RunOnTwo, pytester: pytest.Pytester
) -> None:
    source = """
@roles
def test_talk(dutlinks):
    for board in dutlinks.values():
        board.power.on()
        board.console.expect("boot>", timeout_s=60)
    assert False
"""
    inner = run(source, "--hil-report=kept")

    assert inner.results() == {"test_talk": "failed"}, inner.text
    (page,) = pytester.path.glob("kept/tests/*test_talk*.html")
    text = page.read_text(encoding="utf-8")
    assert "server: " in text.partition('id="console"')[2]
    assert "client: " in text.partition('id="console"')[2]
    assert text.count("<svg") >= 2
    assert re.search(r"server: [^<]*\. Mean .*client: [^<]*\. Mean ", text, re.DOTALL)
    times = [float(one) for one in re.findall(r' data-t="(-?[0-9.]+)"', text)]
    assert times == sorted(times)
    for role in ("server", "client"):
        assert re.search(rf"DUT console of board \w+ \({inner_serial(inner, role)}\), {role}: ", inner.text)


def inner_serial(inner: InnerRun, role: str) -> str:
    boards = inner.outcomes["test_talk"].properties["hil_boards"].split()
    return dict(one.split("=") for one in boards)[role]


def test_console_trouble_on_any_board_fails_the_test(run: RunOnTwo) -> None:
    source = r"""
@roles
def test_panic(dutlinks):
    ask(dutlinks["server"])
    console = dutlinks["client"].console
    console.send("x")
    console.transcript.append(b"Kernel panic - not syncing: x\n")  # as if the DUT had said it
"""
    inner = run(source)

    assert inner.results() == {"test_panic": "failed"}, inner.text
    assert "the DUT's console showed trouble" in inner.outcomes["test_panic"].message


def test_hil_each_leaves_a_test_with_two_boards_alone(run: RunOnTwo) -> None:
    source = "@two\ndef test_two(dutlinks): ask(*dutlinks.values())\ndef test_one(dutlink): ask(dutlink)\n"

    inner = run(source, "--hil-each=board")

    assert inner.results() == dict.fromkeys(["test_two", "test_one[one]", "test_one[two]"], "passed")


def test_two_boards_of_a_run_with_one_are_asked_for_of_the_simulator(run_suite: RunSuite) -> None:
    inner = run_suite(
        f"{BEGINNING}@two\ndef test_two(dutlinks): ask(*dutlinks.values())", "--hil-boards=sim:1"
    )

    told = inner.outcomes["test_two"].message
    assert "it needs 2 of any kind; found: board sim-1 (" in told
    assert told.endswith("Try: --hil-boards sim:2 (for hil sim: --boards 2)")
