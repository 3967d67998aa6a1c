"""Boards that a process of a run could not give back safe, and what the ledger keeps of them."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from hil.errors import BoardLostError, BoardUnsafeError
from hil.lab.locks.holder import Holder
from hil.lab.safe_state.record import BoardRecord, write_record
from hil.suite.boards import unsafe_boards
from hil.suite.boards.lifecycle import BoardLifecycle
from hil.suite.boards.unsafe_boards import await_guard
from hil.suite.outcome.ledger import Ledger, LeftBoard

if TYPE_CHECKING:
    from pathlib import Path

SERIAL = "5a1c0e01"
UNSAFE = BoardUnsafeError("it hung", why="it draws 0.30 A", remedy="look at it", serial=SERIAL)
LOST = BoardLostError("it is gone")


class Session:
    """Fails to release its board, or does not."""

    def __init__(self, folder: Path, *errors: Exception) -> None:
        lease = SimpleNamespace(folder=folder, guard_error=None)
        self.all_held = [SimpleNamespace(board=SimpleNamespace(serial=SERIAL), lease=lease)]
        self._errors = list(errors)

    def give_back(self, _why: str, _which: object) -> None:
        if self._errors:
            raise self._errors.pop()


def lifecycle_of(ledger: Ledger, session: Session | None = None) -> BoardLifecycle:
    lab = SimpleNamespace(places={})
    nothing: Any = SimpleNamespace(
        end=list, is_worker=False, block=None, images=(), lab=lab, image_limit_s=0.0, limit=None
    )
    made = BoardLifecycle(nothing, nothing, ledger, nothing, nothing)
    made.release.session = cast("Any", session)
    return made


@pytest.mark.parametrize(("error", "told"), [(UNSAFE, 1), (LOST, 0)])
def test_board_that_comes_back_is_told_only_if_it_fails_the_run(
    tmp_path: Path, error: Exception, told: int
) -> None:
    ledger = Ledger()
    made = lifecycle_of(ledger, Session(tmp_path, error))
    made.release.all()

    made.release.all()

    assert (ledger.left, ledger.unsafe, len(ledger.safe_since)) == ([], bool(told), told)


def test_end_that_is_interrupted_tells_of_each_board_and_waits_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(board: LeftBoard) -> tuple[bool, str]:
        if board.wait_s:
            signal.raise_signal(signal.SIGINT)
        return await_guard(board)

    monkeypatch.setattr(unsafe_boards, "await_guard", look)
    write_record(tmp_path, SERIAL, BoardRecord().marked_in_use(Holder.here()._replace(pid=os.getpid())))
    left = [LeftBoard(word, SERIAL, str(tmp_path), os.getpid(), 60.0) for word in ("first", "second")]
    ledger = Ledger(left=left)

    lifecycle_of(ledger).release.at_end(awaits_guards=True)

    assert [one.partition(";")[0] for one in ledger.trouble] == ["first", "second"]
    assert ledger.unsafe
