"""What a fake cannot show: the driver against the firmware's own order of things, at ten times its pace."""

from __future__ import annotations

import os
import time
import tty
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hil import errors
from hil.boards.sources import simulated_host
from hil.dutlink.board import Board, open_driver
from hil.dutlink.discovery import list_boards, probe
from hil.errors import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.host import Host
    from hil.sim.management.client import ManagementClient
    from hil.sim.process import SimulatorProcess

SPEED = 10.0
ESCAPE = b"\x02" * 5
LEFT = b"\x1b[D"
SETTINGS = {"name": "", "tags": "", "usb_console": "", "power_on": "", "power_off": "", "power_rescue": ""}
SIMULATOR = {"boards": 2, "speed": SPEED}


@pytest.fixture(scope="module")
def sim_host(simulator: SimulatorProcess) -> Host:
    return replace(simulated_host(simulator.ready), stick_memory=None)


@pytest.fixture
def serial(simulator: SimulatorProcess) -> Iterator[str]:
    serial = simulator.serials()[0]
    yield serial
    simulator.management.clear(serial)
    simulator.management.fault(serial, "replug")


@pytest.fixture
def truth(simulator: SimulatorProcess) -> ManagementClient:
    return simulator.management


@pytest.fixture
def board(sim_host: Host, serial: str) -> Iterator[Board]:
    with open_driver(sim_host, serial) as board:
        board.make_safe()
        board.settings.write(**SETTINGS)
        yield board


def test_list_boards_lists_all_boards(sim_host: Host, simulator: SimulatorProcess) -> None:
    assert {result.serial for result in list_boards(sim_host)} == set(simulator.serials())


def test_on_returns_when_its_sequence_is_over(board: Board, truth: ManagementClient) -> None:
    board.settings.write(power_on="aL,w30,p1")
    began = time.monotonic()

    board.power.on()

    assert time.monotonic() - began >= 3.0 / SPEED
    assert truth.state(board.serial)["supply"]


def test_on_without_wait_delays_the_next_request_until_the_sequence_ends(
    board: Board, truth: ManagementClient
) -> None:
    board.settings.write(power_on="w30,p1")
    board.power.on(wait=False)

    board.power.force_off()

    assert not truth.state(board.serial)["supply"]


def test_on_with_a_sequence_without_p1_does_not_switch_the_supply(
    board: Board, truth: ManagementClient
) -> None:
    board.settings.write(power_on="bL,w1,bZ")

    board.power.on()

    assert not truth.state(board.serial)["supply"]


def test_open_board_waits_for_a_sequence_of_another_program(board: Board, sim_host: Host) -> None:
    board.settings.write(power_on="w200,p1")
    board.power.on(wait=False)

    with open_driver(sim_host, board.serial, console=False) as another:
        assert another.power.read()


def test_open_board_is_not_delayed_by_a_busy_neighbour(
    board: Board, sim_host: Host, simulator: SimulatorProcess
) -> None:
    board.settings.write(power_on="w400")
    board.power.on(wait=False)

    result = probe(sim_host, simulator.serials()[1])

    assert result.verdict is Verdict.PRESENT
    assert simulator.management.state(board.serial)["busy_s"] > 0


def test_probe_of_a_board_that_hangs_is_lost_after_the_limit(
    sim_host: Host, serial: str, truth: ManagementClient
) -> None:
    truth.fault(serial, "hang", on=True)

    assert probe(sim_host, serial, limit_s=1.2).verdict is Verdict.LOST


def test_unplugged_board_is_lost_for_its_holder_and_absent_for_others(
    board: Board, sim_host: Host, truth: ManagementClient
) -> None:
    truth.fault(board.serial, "unplug")

    with pytest.raises(errors.BoardLostError):
        board.power.read()
    assert probe(sim_host, board.serial).verdict is Verdict.ABSENT


@pytest.mark.parametrize("product_id", [0xE012, 0x1012])
def test_probe_names_a_board_in_its_boot_loader(
    sim_host: Host, serial: str, truth: ManagementClient, product_id: int
) -> None:
    truth.fault(serial, "boot_loader", product_id=product_id)

    result = probe(sim_host, serial)

    assert isinstance(result.error, errors.BoardInBootLoaderError)
    assert result.serial == serial


def test_settings_are_stored(board: Board) -> None:
    board.settings.write(name="n" * 64, tags="t" * 256, power_rescue="aL,p1,w1,aZ")

    assert board.settings.read().tags == "t" * 256
    assert board.settings.read().name == "n" * 64


def test_shell_answers_and_restores_console_mode_on_a_simulated_board(
    board: Board, truth: ManagementClient
) -> None:
    answer = board.console.shell("version")

    assert answer.startswith("0.09 git-ref: ")
    assert truth.state(board.serial)["console_mode"]


def test_shell_answer_of_more_than_512_bytes_is_cut(board: Board, truth: ManagementClient) -> None:
    board.settings.write(tags="t" * 256)
    board.console.shell("set-config json " + "j" * 300)

    answer = board.console.shell("get-config")

    assert answer.cut
    assert truth.state(board.serial)["console_mode"]


def test_shell_command_may_take_as_long_as_its_sequence(board: Board, truth: ManagementClient) -> None:
    board.settings.write(power_on="w50,p1")

    answer = board.console.shell("power on", timeout_s=0.3)

    assert answer == "Device powered on"
    assert truth.state(board.serial)["supply"]


def test_open_restores_console_mode_of_a_board_left_in_its_shell(
    board: Board, sim_host: Host, truth: ManagementClient
) -> None:
    board.console.send(b"\x02" * 5)
    board.console.expect("Exiting console mode", timeout_s=5)
    board.close()

    with open_driver(sim_host, board.serial):
        assert truth.state(board.serial)["console_mode"]


def test_console_has_the_boot_log_from_its_start(board: Board) -> None:
    board.power.on()

    assert board.console.expect("boot ROM.*boot> ", timeout_s=10)


@pytest.mark.thorough
def test_wait_for_node_finds_each_stick_if_all_boards_turn_at_once(
    sim_host: Host, simulator: SimulatorProcess
) -> None:
    def find(serial: str) -> str:
        with open_driver(sim_host, serial, console=False) as board:
            board.storage.off()
            board.storage.host()
            node = board.storage.wait_for_node().resolve()
            board.storage.off()
            board.storage.wait_until_gone()
            return str(node)

    with ThreadPoolExecutor() as pool:
        found = dict(zip(simulator.serials(), pool.map(find, simulator.serials()), strict=True))

    own = {serial: simulator.management.state(serial)["stick"]["node"] for serial in simulator.serials()}
    assert found == own


def test_wait_for_node_raises_stick_missing_error(board: Board, truth: ManagementClient) -> None:
    truth.fault(board.serial, "stick_missing", on=True)
    board.storage.host()

    with pytest.raises(errors.StickMissingError):
        board.storage.wait_for_node(timeout_s=1.0)


def test_wait_until_off_sees_the_current(board: Board) -> None:
    board.power.on()
    board.power.force_off()

    assert board.power.wait_until_off().amps <= 0.05


def test_open_ends_a_meter_that_was_left_on(board: Board, sim_host: Host, truth: ManagementClient) -> None:
    board.console.shell("meter on")
    board.close()
    assert truth.state(board.serial)["meter"]

    with open_driver(sim_host, board.serial):
        assert not truth.state(board.serial)["meter"]


def test_meter_that_a_test_switched_on_stays_on(board: Board, truth: ManagementClient) -> None:
    board.console.shell("meter on")
    board.console.shell("console")

    assert truth.state(board.serial)["meter"]


def stopped_typing(board: Board, keys: bytes) -> None:
    """Leave the board in its shell, in the middle of a command."""
    path = board.console.tty.path
    board.close()
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(descriptor)
    os.write(descriptor, ESCAPE)
    read_until(descriptor, b"#> ")
    os.write(descriptor, keys)
    read_until(descriptor, keys[-1:])
    os.close(descriptor)


def read_until(descriptor: int, end: bytes) -> None:
    said = b""
    while end not in said:
        said += os.read(descriptor, 4096)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(b"power on", id="after the command"),
        pytest.param(b"power on" + 3 * LEFT, id="in the middle of it", marks=pytest.mark.thorough),
        pytest.param(b"power on" + 8 * LEFT, id="before it"),
        pytest.param(b"power on" + 400 * b" " + 408 * LEFT, id="far before it", marks=pytest.mark.thorough),
    ],
)
def test_open_never_runs_half_a_command_in_the_board_s_line(
    board: Board, sim_host: Host, truth: ManagementClient, keys: bytes
) -> None:
    stopped_typing(board, keys)

    with open_driver(sim_host, board.serial) as again:
        assert truth.state(board.serial)["console_mode"]
        assert not truth.state(board.serial)["supply"]
        assert again.console.shell("version").startswith("0.09")
