"""The stick on its way between host and DUT. Nothing here reads or writes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.storage.stick_path import size_bytes, usb_disks
from hil.dutlink.storage.storage import Position

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.dutlink.storage.storage import Storage

LOOKS_ONLY = pytest.mark.hardware(observes_only=True)  # the test before may have left the stick with the host


@pytest.fixture(scope="module", autouse=True)
def _stick_with_nobody_afterwards(dutlink: Board) -> Iterator[None]:
    yield
    dutlink.make_safe()


@pytest.fixture
def node(storage: Storage) -> Path:
    """The stick's node on the host: a stick that is there already is not taken away first."""
    if storage.position is not Position.HOST:
        storage.host()
    return storage.wait_for_node()


@LOOKS_ONLY
def test_the_stick_on_the_host_is_one_of_its_usb_disks(dutlink: Board, node: Path) -> None:
    assert node.resolve() in {disk.resolve() for disk in usb_disks(dutlink.host.dev)}


@LOOKS_ONLY
def test_the_stick_on_the_host_has_whole_sectors(node: Path) -> None:
    assert size_bytes(node) > 0
    assert size_bytes(node) % 512 == 0


def test_the_host_sees_no_stick_once_it_is_off(storage: Storage, node: Path) -> None:
    storage.off()
    storage.wait_until_gone()

    assert not node.exists()


def test_the_host_sees_no_stick_once_the_dut_has_it(storage: Storage, node: Path) -> None:
    storage.dut()
    storage.wait_until_gone()

    assert not node.exists()


def test_the_stick_comes_back_to_the_host_under_the_same_name(storage: Storage, node: Path) -> None:
    storage.off()
    storage.wait_until_gone()
    storage.host()

    assert storage.wait_for_node() == node


@pytest.mark.usefixtures("node")
def test_the_position_is_the_one_that_was_set_last(storage: Storage) -> None:
    storage.dut()

    assert storage.position is Position.DUT


@pytest.mark.parametrize("position", [Position.OFF, Position.DUT])
def test_a_position_may_be_set_twice(storage: Storage, position: Position) -> None:
    turn = storage.off if position is Position.OFF else storage.dut
    turn()

    turn()

    assert storage.position is position


def test_the_shell_moves_the_same_stick(dutlink: Board, node: Path) -> None:
    answer = dutlink.console.shell("storage off")
    dutlink.storage.wait_until_gone()
    dutlink.storage.off()

    assert re.search("disconnected", answer)
    assert not node.exists()
