"""The stick as a real block device: it follows the mux, and its bytes are the DUT's."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.sim.dut.image import build_image
from tests.kernel.dut_talk import LIMIT_S, answer, boot_and_log_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board

IMAGE_BYTES = 4 << 20


@pytest.fixture
def node(board: Board) -> Path:
    board.storage.host()
    return board.storage.wait_for_node()


@pytest.fixture
def other_board(other_serial: str) -> Iterator[Board]:
    with open_driver(Host(), other_serial, console=False) as board:
        yield board
        board.make_safe()


def write_through(node: Path, data: bytes) -> None:
    """Write to the device itself and wait until it has everything."""
    with node.open("r+b", buffering=0) as disk:
        disk.write(data)
        os.fsync(disk.fileno())


def test_the_stick_appears_as_a_block_device_with_a_size(node: Path) -> None:
    with node.open("rb") as disk:
        size_bytes = disk.seek(0, os.SEEK_END)

    assert (stat.S_ISBLK(node.stat().st_mode), size_bytes > IMAGE_BYTES) == (True, True)


def test_udev_names_the_stick_by_vendor_product_and_serial_number(node: Path) -> None:
    names = [link.name for link in Path("/dev/disk/by-id").iterdir() if link.resolve() == node.resolve()]

    assert any(re.fullmatch(r"usb-HIL_Simulated_Stick_[0-9A-F]{12}-0:0", name) for name in names), names


@pytest.mark.parametrize("position", ["dut", "off"])
def test_the_stick_vanishes_when_the_mux_leaves_the_host(board: Board, node: Path, position: str) -> None:
    getattr(board.storage, position)()

    board.storage.wait_until_gone()

    assert not node.exists()


def test_the_stick_comes_back_under_its_name(board: Board, node: Path) -> None:
    board.storage.off()
    board.storage.wait_until_gone()

    board.storage.host()

    assert board.storage.wait_for_node() == node


def test_each_of_two_boards_finds_its_own_stick(other_board: Board, node: Path) -> None:
    other_board.storage.host()

    assert (other_board.storage.wait_for_node() != node, node.exists()) == (True, True)


def test_bytes_written_to_the_block_device_are_read_back_through_the_bus(board: Board, node: Path) -> None:
    data = secrets.token_bytes(1 << 20)
    write_through(node, data)
    board.storage.off()
    board.storage.wait_until_gone()

    board.storage.host()

    assert board.storage.wait_for_node().read_bytes()[: len(data)] == data


def test_what_the_host_writes_is_what_the_dut_reads(board: Board, node: Path, tmp_path: Path) -> None:
    build_image(tmp_path / "image", "kernel-1", IMAGE_BYTES)
    written = (tmp_path / "image").read_bytes()
    write_through(node, written)
    board.storage.dut()
    board.storage.wait_until_gone()

    boot_and_log_in(board)

    assert hashlib.sha256(written).hexdigest() in answer(board.console, f"sha256sum /dev/sda {IMAGE_BYTES}")


def test_the_dut_boots_what_the_host_wrote(board: Board, node: Path, tmp_path: Path) -> None:
    build_image(tmp_path / "image", "kernel-2", IMAGE_BYTES)
    write_through(node, (tmp_path / "image").read_bytes())
    board.storage.dut()
    board.storage.wait_until_gone()

    board.power.on()

    assert re.fullmatch(r"[0-9a-f]+", board.console.expect(r"image: kernel-2 (\w+)", LIMIT_S).text(1))
