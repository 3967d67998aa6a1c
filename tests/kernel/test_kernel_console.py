"""The console through cdc_acm and the kernel's tty."""

from __future__ import annotations

import fcntl
import os
import termios
from typing import TYPE_CHECKING

import pytest

from hil.errors import ConsoleBusyError, ConsoleLostError
from hil.sim.dut.image import build_image
from tests.kernel.attached import tty_node
from tests.kernel.dut_talk import LIMIT_S, answer, boot_and_log_in

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board
    from tests.kernel.attached import Bench

PAGES = 6
"""So many boot logs in a row are half a minute at the UART's full pace."""


@pytest.fixture
def logged_in(board: Board, tmp_path: Path) -> Board:
    """The board with a DUT that has booted and waits at its prompt."""
    build_image(tmp_path / "image", "console-1", 4 << 20)
    board.storage.host()
    with board.storage.wait_for_node().open("r+b", buffering=0) as disk:
        disk.write((tmp_path / "image").read_bytes())
        os.fsync(disk.fileno())
    board.storage.dut()
    board.storage.wait_until_gone()
    boot_and_log_in(board)
    return board


def test_a_boot_log_comes_whole_and_no_byte_is_lost_at_full_pace(logged_in: Board) -> None:
    booted = logged_in.console.transcript.text
    pages = [answer(logged_in.console, "dmesg").strip() for _ in range(PAGES)]

    assert len(set(pages)) == 1
    assert all(line in booted for line in pages[0].splitlines())
    assert logged_in.console.transcript.dropped_bytes == 0


def test_what_is_typed_reaches_the_dut(logged_in: Board) -> None:
    assert answer(logged_in.console, "echo one two  three").strip() == "one two three"


def test_the_boards_own_shell_answers_through_the_same_tty(board: Board) -> None:
    assert "0.09" in board.console.shell("version")


def test_an_open_console_is_raw_so_that_the_boot_log_does_not_go_back_to_the_dut(board: Board) -> None:
    board.console.open()
    descriptor = os.open(tty_node(board.serial), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)

    local_modes = termios.tcgetattr(descriptor)[3]

    os.close(descriptor)
    assert local_modes & (termios.ECHO | termios.ICANON) == 0


def test_a_tty_that_another_program_has_locked_is_busy(board: Board) -> None:
    board.console.close()
    descriptor = os.open(tty_node(board.serial), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with pytest.raises(ConsoleBusyError, match="fuser"):
        board.console.open()

    os.close(descriptor)


def test_a_console_whose_board_is_unplugged_is_lost(bench: Bench, board: Board) -> None:
    board.console.open()

    bench.management.fault(board.serial, "unplug")

    with pytest.raises(ConsoleLostError):
        board.console.expect("never said", LIMIT_S)


def test_output_of_a_closed_console_waits_in_the_board_for_the_next_one_to_open_it(board: Board) -> None:
    board.console.close()
    board.power.force_on()

    board.console.open()

    assert board.console.expect(r"\S", LIMIT_S)
