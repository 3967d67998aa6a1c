from __future__ import annotations

import errno
import fcntl
import os
import threading
from typing import TYPE_CHECKING

import pytest

from hil import errors
from hil.dutlink import disks
from hil.dutlink.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from fake_bus import FakeBoard

    from hil.dutlink.board import Board

STICK = "usb-Generic_Flash_Disk_1234-0:0"


@pytest.fixture
def by_id(dev: Path) -> Path:
    return dev / "disk" / "by-id"


@pytest.fixture
def stick(fake: FakeBoard, by_id: Path) -> Path:
    """A stick that follows the mux at once."""
    node = by_id / STICK

    def follow(request: int, value: int) -> None:
        if request == 2 and value == 1:
            node.write_bytes(b"disk")
            (by_id / f"{STICK}-part1").write_bytes(b"part")
        elif request == 2:
            node.unlink(missing_ok=True)

    fake.on_request = follow
    return node


@pytest.mark.parametrize(("verb", "value"), [("off", 0), ("dut", 2)])
def test_each_position_sends_its_request(board: Board, fake: FakeBoard, verb: str, value: int) -> None:
    getattr(board.storage, verb)()

    assert fake.done == [(2, value, b"")]
    assert board.storage.position == verb


def test_the_position_is_unknown_before_it_is_set(board: Board) -> None:
    assert board.storage.position is None


def test_the_position_is_unknown_after_a_request_that_failed(board: Board, fake: FakeBoard) -> None:
    board.storage.off()
    fake.errors.append(errno.EIO)

    with pytest.raises(errors.TransferError):
        board.storage.dut()

    assert board.storage.position is None


def test_the_disk_that_follows_the_mux_is_the_stick(board: Board, stick: Path, by_id: Path) -> None:
    (by_id / "usb-Somebody_Elses_Disk-0:0").write_bytes(b"precious")
    (by_id / "ata-Somebody_Elses_Disk").write_bytes(b"precious")
    board.storage.off()

    board.storage.host()

    assert board.storage.wait_for_node(1.0) == stick


def test_a_stick_that_was_on_the_host_is_taken_off_first(board: Board, fake: FakeBoard, stick: Path) -> None:
    stick.write_bytes(b"disk")

    board.storage.host()

    assert board.storage.wait_for_node(1.0) == stick
    assert fake.done == [(2, 0, b""), (2, 1, b"")]


def test_a_node_without_a_size_is_not_ready(board: Board, fake: FakeBoard, by_id: Path) -> None:
    fake.on_request = lambda request, value: (by_id / STICK).touch() if (request, value) == (2, 1) else None
    board.storage.host()
    threading.Timer(0.2, (by_id / STICK).write_bytes, [b"disk"]).start()

    assert board.storage.wait_for_node(2.0).stat().st_size == 4


def test_a_stick_that_never_appears_is_missing(board: Board) -> None:
    board.storage.host()

    with pytest.raises(errors.StickMissingError, match="no USB disk appeared"):
        board.storage.wait_for_node(0.1)


def test_a_stick_that_is_gone_with_its_board_is_a_lost_board(board: Board, fake: FakeBoard) -> None:
    board.storage.host()
    fake.always = errno.ENODEV

    with pytest.raises(errors.BoardLostError):
        board.storage.wait_for_node(0.1)


@pytest.mark.usefixtures("stick")
def test_two_disks_at_once_are_ambiguous(board: Board, by_id: Path) -> None:
    board.storage.host()
    (by_id / "usb-Another-0:0").write_bytes(b"precious")

    with pytest.raises(errors.StickAmbiguousError, match="Another"):
        board.storage.wait_for_node(1.0)


def test_two_names_of_one_disk_are_one_stick(board: Board, stick: Path, by_id: Path) -> None:
    board.storage.host()
    (by_id / "usb-0-the-same").symlink_to(stick)

    assert board.storage.wait_for_node(1.0).resolve() == stick


def test_a_found_stick_is_remembered_and_followed(board: Board, stick: Path) -> None:
    board.storage.host()
    board.storage.wait_for_node(1.0)

    board.storage.dut()
    board.storage.wait_until_gone(1.0)
    board.storage.host()

    assert board.storage.wait_for_node(1.0) == stick


@pytest.mark.usefixtures("stick")
def test_a_node_that_stays_is_named(board: Board, fake: FakeBoard) -> None:
    board.storage.host()
    board.storage.wait_for_node(1.0)
    fake.on_request = None
    board.storage.off()

    with pytest.raises(errors.StickStayedError, match=STICK):
        board.storage.wait_until_gone(0.1)


def test_what_was_never_seen_cannot_be_missed(board: Board) -> None:
    board.storage.off()

    board.storage.wait_until_gone(0.0)


def test_a_wired_stick_needs_no_search(board: Board, dev: Path, fake: FakeBoard) -> None:
    node = dev / "sdb"
    node.write_bytes(b"disk")
    storage = Storage(board._link, dev, node)

    storage.host()

    assert storage.wait_for_node(0.1) == node
    assert fake.done == [(2, 1, b"")]


def test_waiting_without_having_turned_it_turns_it(board: Board, fake: FakeBoard, stick: Path) -> None:
    assert board.storage.wait_for_node(1.0) == stick
    assert fake.done[-1] == (2, 1, b"")


def turn_is_free(dev: Path) -> bool:
    folder = os.open(dev, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(folder)
    return True


@pytest.mark.usefixtures("stick")
def test_only_one_board_of_a_host_looks_for_its_stick_at_a_time(board: Board, dev: Path) -> None:
    board.storage.host()
    free_meanwhile = turn_is_free(dev)
    board.storage.wait_for_node(1.0)

    assert (free_meanwhile, turn_is_free(dev)) == (False, True)


@pytest.mark.usefixtures("stick")
def test_a_stick_that_is_known_comes_in_its_turn_too(board: Board, dev: Path) -> None:
    board.storage.host()
    board.storage.wait_for_node(1.0)
    board.storage.off()

    board.storage.host()
    free_meanwhile = turn_is_free(dev)

    board.storage.wait_for_node(1.0)
    assert (free_meanwhile, turn_is_free(dev)) == (False, True)


@pytest.mark.parametrize("verb", ["off", "dut", "close"])
def test_the_turn_ends_with_any_other_position(board: Board, dev: Path, verb: str) -> None:
    board.storage.host()

    getattr(board.storage, verb)()

    assert turn_is_free(dev)


def test_a_turn_that_does_not_end_is_an_error(
    board: Board, dev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "_TURN_LIMIT_S", 0.1)
    folder = os.open(dev, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)

    with pytest.raises(errors.StorageError, match="another process"):
        board.storage.host()

    os.close(folder)
