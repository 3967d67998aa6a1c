"""How a board is made safe, as data, and attempts to do so."""

import os
from pathlib import Path

import pytest

from hil.errors import (
    BoardFaultError,
    BoardLostError,
    BoardTimeoutError,
    RequestStalledError,
    TransferError,
    UsageError,
)
from hil.lab.guard import recovery
from hil.lab.guard.recovery import recover
from hil.lab.guard.task import GuardTask
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.locks.lock_file import lock_path
from hil.lab.safe_state.attempt import try_make_safe
from hil.lab.safe_state.policy import Safety, resolve
from hil.lab.safe_state.record import read_record

SERIAL = "5a1c0e01"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board"
    path.write_text("on")
    return path


def test_guard_task_json_round_trip() -> None:
    task = GuardTask(SERIAL, Path("/run/lock/x"), Safety(arguments={"host": {"call": "a:b"}}, policy="aL,w5"))

    assert GuardTask.from_json(task.to_json()) == task


@pytest.mark.parametrize("name", ["no_such_module:f", "os:no_such_function", "os", ""])
def test_resolve_names_what_cannot_be_imported(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be imported"):
        resolve(name)


def test_try_make_safe_fails_if_the_action_cannot_be_imported() -> None:
    event = try_make_safe(Safety("no_such_module:f"), SERIAL, why="a test", by="test")

    assert event.what == "could not be made safe"
    assert "no_such_module" in event.why


def test_try_make_safe_tries_again(board: Path) -> None:
    board.write_text("busy")
    event = try_make_safe(
        Safety("tests.support.fake_board:switch_off", {"board": str(board)}), SERIAL, why="a test", by="test"
    )

    assert (event.what, board.read_text()) == ("made safe", "off")


@pytest.mark.parametrize(
    ("error", "faulty"),
    [
        (BoardFaultError("the DUT is not off after 5.0 s"), True),
        (RequestStalledError("it refused"), True),
        (BoardTimeoutError("silent"), False),
        (TransferError("a line error"), False),
        (BoardLostError("gone"), False),
    ],
)
def test_try_make_safe_distinguishes_faulty_from_silent_boards(
    error: Exception, faulty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str, **__: object) -> float:
        raise error

    monkeypatch.setattr("hil.lab.safe_state.attempt.resolve", lambda _name: fail)

    assert try_make_safe(Safety(limit_s=0.0), SERIAL, why="a test", by="test").faulty is faulty


def test_try_make_safe_ends_after_its_limit(board: Path) -> None:
    board.unlink()
    safety = Safety("tests.support.fake_board:switch_off", {"board": str(board)}, limit_s=0.3, absent_s=9)
    event = try_make_safe(safety, SERIAL, why="a test", by="test")

    assert "not on the bus" in event.why


def test_recover_makes_the_board_safe_records_it_and_unlocks_it(board: Path) -> None:
    lease = acquire(SERIAL, test="a_test", folder=board.parent)
    task = GuardTask(
        SERIAL, lease.lock.path, Safety("tests.support.fake_board:switch_off", {"board": str(board)})
    )
    recover(os.dup(lease.lock.descriptor), task.to_json())

    assert board.read_text() == "off"
    assert "a_test" in read_record(board.parent, SERIAL).events[-1].why
    lease.lock.close()
    acquire(SERIAL, folder=board.parent).release()


def test_recover_gives_up_an_action_that_hangs_and_unlocks_the_board(
    board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(recovery, "HANG_S", 0.05)
    monkeypatch.setattr("os._exit", ended.append)
    lease = acquire(SERIAL, folder=board.parent)
    safety = Safety("tests.support.fake_board:hang", {"board": str(board)}, limit_s=0.0)
    recover(os.dup(lease.lock.descriptor), GuardTask(SERIAL, lease.lock.path, safety).to_json())

    assert ended == [1]
    assert "hangs" in read_record(board.parent, SERIAL).events[0].why
    assert Holder.from_json(lock_path(board.parent, SERIAL).read_bytes()) is None
    lease.lock.close()
