"""The board's own shell: effects on the DUT's console, and long answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.no_hardware.stories.dut_story import IMAGE_BYTES, LIMIT_S, SPEED, answer, boot_and_log_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.sim.process import SimulatorProcess

SIMULATOR = {"boards": 1, "speed": SPEED, "stick_bytes": IMAGE_BYTES}


@pytest.fixture
def talkative(board: Board) -> Iterator[Console]:
    """The console of a board whose settings do not fit into one answer."""
    board.settings.write(tags="t" * 256)
    board.console.shell("set-config json " + "j" * 300)
    yield board.console
    board.console.shell("set-config json")


@pytest.fixture
def metering(bootable: Board) -> Iterator[Console]:
    """The console of a DUT, logged in, that the board's meter writes on."""
    console = boot_and_log_in(bootable)
    console.shell("meter on")
    yield console
    console.shell("meter off")


def test_shell_answer_says_that_it_was_cut(talkative: Console) -> None:
    assert talkative.shell("get-config").cut


def test_shell_answer_that_was_cut_leaves_the_console_usable(talkative: Console) -> None:
    talkative.shell("get-config")

    assert talkative.shell("version").endswith("git-ref: 1a2b3c4")


def test_meter_writes_power_between_the_lines_of_the_dut(metering: Console) -> None:
    metering.sendline("dmesg")

    assert metering.expect(r"\r\d+\.\d\dW> ", LIMIT_S)


def test_login_outlives_a_visit_to_the_shell(bootable: Board) -> None:
    console = boot_and_log_in(bootable)

    console.shell("version")

    console.send(b"\x03")  # the five Ctrl-B of the visit stand in the DUT's line
    console.expect("# ", LIMIT_S)
    assert answer(console, "echo here") == "here"


def test_console_mode_is_restored_after_a_visit_to_the_shell(
    board: Board, simulator: SimulatorProcess
) -> None:
    board.console.shell("status")

    assert simulator.management.state(board.serial)["console_mode"] is True
