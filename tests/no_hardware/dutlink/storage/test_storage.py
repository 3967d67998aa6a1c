from __future__ import annotations

import errno
import fcntl
import os
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hil import errors
from hil.dutlink.storage import host_lock
from hil.dutlink.storage.storage_elsewhere import StorageElsewhere

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.dutlink.storage.storage import Storage
    from tests.no_hardware.dutlink.storage.mux_bench import MuxBench
    from tests.support.fake_bus import FakeBoard


@pytest.mark.parametrize(("verb", "value"), [("off", 0), ("dut", 2)])
def test_storage_methods_send_their_requests(board: Board, fake: FakeBoard, verb: str, value: int) -> None:
    getattr(board.storage, verb)()

    assert fake.done == [(2, value, b"")]
    assert board.storage.position == verb


def test_position_is_none_before_it_is_set(board: Board) -> None:
    assert board.storage.position is None


def test_position_is_none_after_a_failed_request(board: Board, fake: FakeBoard) -> None:
    board.storage.off()
    fake.errors.append(errno.EIO)

    with pytest.raises(errors.TransferError):
        board.storage.dut()

    assert board.storage.position is None


def test_position_is_none_after_a_program_under_the_lease_turned_the_mux(bench: MuxBench) -> None:
    storage, turns = bench.storage(), 0
    bench.links[0].access.count_lent_turns = lambda: turns
    storage.dut()
    before = storage.position, storage.changes

    turns = 1

    assert (before[0], storage.position, storage.changes > before[1]) == ("dut", None, True)


def test_position_is_none_after_another_object_turned_the_mux(bench: MuxBench) -> None:
    first, second = bench.storage(), bench.storage()
    first.dut()

    second.off()

    assert (first.position, second.position) == (None, "off")


def test_mux_stays_if_a_program_under_a_lease_cannot_tell_its_holder_of_the_turn(bench: MuxBench) -> None:
    def refuse(serial: str) -> None:
        raise errors.StorageError("not noted", serial=serial)

    lease: Any = SimpleNamespace(note_turn=refuse, turns=lambda: 0)
    storage = bench.storage()
    bench.links[0].access.lease = lease

    with pytest.raises(errors.StorageError, match="not noted"):
        storage.dut()

    assert bench.links[0].sent == []


def test_wait_for_node_turns_the_storage_to_the_host(bench: MuxBench) -> None:
    storage = bench.storage()

    assert storage.wait_for_node().resolve() == bench.sticks[0]._node.path
    assert bench.links[0].sent[-1] == "host"


@pytest.fixture
def leaving_late(bench: MuxBench, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """The storage of a board whose stick is at the host, and follows each turn of the mux 0.4 s later."""
    move = bench.sticks[0].move
    monkeypatch.setattr(bench.sticks[0], "move", lambda position: bench.after(0.4, move, position))
    storage = bench.storage()
    storage.wait_for_node()
    return storage


@pytest.mark.parametrize("turn", ["off", "dut"])
def test_wait_for_node_turns_a_stick_that_is_about_to_leave_to_the_host_again(
    leaving_late: Storage, bench: MuxBench, turn: str
) -> None:
    getattr(leaving_late, turn)()

    leaving_late.wait_for_node()

    assert (bench.links[0].sent[-2:], leaving_late.position) == ([turn, "host"], "host")


@pytest.mark.parametrize("turn", ["off", "dut"])
def test_verified_node_is_none_for_a_stick_that_is_about_to_leave(leaving_late: Storage, turn: str) -> None:
    getattr(leaving_late, turn)()

    assert leaving_late.verified_node is None


def test_wait_for_node_turns_a_stick_to_the_host_that_another_program_has_turned(
    leaving_late: Storage, bench: MuxBench
) -> None:
    bench.links[0].control_out(2, 2)
    leaving_late.forget()

    leaving_late.wait_for_node()

    assert bench.links[0].sent[-1] == "host"


def test_host_detaches_a_stick_that_may_be_on_the_host_first(bench: MuxBench) -> None:
    bench.links[0].control_out(2, 1)
    bench.clock.advance(10)
    storage = bench.storage()
    bench.links[0].sent.clear()

    storage.host()

    assert bench.links[0].sent == ["off", "host"]


def test_wait_for_node_raises_stick_missing_error(bench: MuxBench) -> None:
    bench.sticks[0].faults.missing = True
    storage = bench.storage()
    storage.host()

    with pytest.raises(errors.StickMissingError, match="no USB disk appeared"):
        storage.wait_for_node()


def test_wait_for_node_raises_board_lost_error_if_the_board_is_gone_too(
    bench: MuxBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> bytes:
        raise errors.BoardLostError("gone")

    bench.sticks[0].faults.missing = True
    storage = bench.storage()
    storage.host()
    monkeypatch.setattr(bench.links[0], "wait_ready", lost)

    with pytest.raises(errors.BoardLostError):
        storage.wait_for_node()


def test_wait_for_node_remembers_the_stick(bench: MuxBench) -> None:
    storage = bench.storage(remembers=False)
    storage.host()
    node = storage.wait_for_node()
    storage.dut()
    storage.wait_until_gone()
    bench.links[0].sent.clear()

    storage.host()

    assert storage.wait_for_node() == node
    assert bench.links[0].sent == ["host"]


def test_wait_for_node_does_not_detach_a_stick_that_is_there(bench: MuxBench) -> None:
    storage = bench.storage()
    node = storage.wait_for_node()
    bench.links[0].sent.clear()

    storage.host()

    assert storage.wait_for_node() == node
    assert "off" not in bench.links[0].sent


def test_wait_until_gone_error_names_the_node(bench: MuxBench, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = bench.storage()
    storage.wait_for_node()
    name = str(storage.node)
    monkeypatch.setattr(bench.sticks[0], "move", lambda _position: None)
    storage.off()

    with pytest.raises(errors.StickStayedError, match=re.escape(name)):
        storage.wait_until_gone(0.1)


def test_wait_until_gone_returns_at_once_for_an_unknown_stick(board: Board) -> None:
    board.storage.off()

    board.storage.wait_until_gone(0.0)


def learning_lock_is_free(dev: Path) -> bool:
    folder = os.open(dev, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(folder)
    return True


def test_host_waits_while_another_board_learns(bench: MuxBench) -> None:
    storage = bench.storage()
    storage.host()
    free_meanwhile = learning_lock_is_free(bench.dev.root)
    storage.wait_for_node()

    assert (free_meanwhile, learning_lock_is_free(bench.dev.root)) == (False, True)


def test_host_acquires_the_learning_lock_if_no_other_process_knows_the_socket(bench: MuxBench) -> None:
    storage = bench.storage(remembers=False)
    storage.wait_for_node()
    storage.off()

    storage.host()
    free_meanwhile = learning_lock_is_free(bench.dev.root)

    storage.wait_for_node()
    assert (free_meanwhile, learning_lock_is_free(bench.dev.root)) == (False, True)


def test_host_needs_no_learning_lock_for_a_known_socket(bench: MuxBench) -> None:
    bench.storage().wait_for_node()
    folder = os.open(bench.dev.root, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)

    assert bench.storage().wait_for_node().exists()

    os.close(folder)


@pytest.mark.parametrize("verb", ["off", "dut", "close"])
def test_learning_lock_is_released_with_another_position(bench: MuxBench, verb: str) -> None:
    storage = bench.storage()
    storage.host()

    getattr(storage, verb)()

    assert learning_lock_is_free(bench.dev.root)


def test_host_raises_if_another_board_learns_for_too_long(
    board: Board, dev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_lock, "_WAIT_LIMIT_S", 0.1)
    folder = os.open(dev, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)

    with pytest.raises(errors.StorageError, match="another process"):
        board.storage.host()

    os.close(folder)


def test_learn_refuses_a_stick_on_another_machine_and_turns_nothing(bench: MuxBench) -> None:
    remote: Any = FakeRemote()
    storage = StorageElsewhere(remote, bench.links[0], bench.dev.root)

    with pytest.raises(errors.UsageError, match="not learned from this machine") as caught:
        storage.learn(force=True)

    assert "hil storage learn" in caught.value.remedy
    assert (bench.links[0].sent, remote.asked) == ([], [])


class FakeRemote:
    """A stick on another machine, which notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def flash(self, *_: object, **__: object) -> Any:
        self.asked.append("flash")

    def read(self, *_: object) -> Any:
        self.asked.append("read")

    def check_image_verified(self) -> None:
        self.asked.append("check_image_verified")
