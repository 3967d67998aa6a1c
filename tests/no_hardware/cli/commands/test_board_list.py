"""`hil boards` says all that is wrong with a board."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hil.cli.commands import board_list
from hil.cli.commands.board_list import BoardList, BoardRow
from hil.cli.commands.boards import _table
from hil.dutlink.discovery import ProbeResult
from hil.errors import BoardBusyError, BoardLostError, HilError, SpoiltFileError, Verdict
from hil.lab.locks.acquire import acquire
from hil.lab.locks.holder import Holder
from hil.lab.safe_state.record import BoardRecord, BoardState, SafetyEvent, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

SERIAL = "5a1c0e01"
SPOILT = SpoiltFileError("the lock file is a folder", why="bob made it", remedy="remove it")


def lease_of(error: HilError | None) -> Callable[..., AbstractContextManager[SimpleNamespace]]:
    @contextmanager
    def held(*_: object, **__: object) -> Iterator[SimpleNamespace]:
        if error is not None:
            raise error
        yield SimpleNamespace(leave_untouched=lambda: None, killed_holder=None)

    return held


def row_of(
    monkeypatch: pytest.MonkeyPatch, folder: Path, held: HilError | None, verdict: Verdict
) -> BoardRow:
    write_record(folder, SERIAL, BoardRecord(BoardState.UNSAFE))
    monkeypatch.setenv("HIL_LOCK_DIR", str(folder))
    monkeypatch.setattr(board_list, "acquire", lease_of(held))
    monkeypatch.setattr(board_list, "lock_file_problem", lambda *_: SPOILT)
    lost = BoardLostError("it is silent") if verdict is Verdict.LOST else None
    return BoardList("usb")._row(ProbeResult(verdict, SERIAL, error=lost))


@pytest.mark.parametrize(
    ("held", "verdict", "healths"),
    [
        (None, Verdict.DENIED, ["not left safe", "lock spoilt"]),
        (None, Verdict.LOST, ["lost", "not left safe", "lock spoilt"]),
        (SPOILT, Verdict.DENIED, ["not left safe", "cannot be leased"]),
    ],
)
def test_boards_names_each_trouble(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    held: HilError | None,
    verdict: Verdict,
    healths: list[str],
) -> None:
    row = row_of(monkeypatch, tmp_path, held, verdict)

    assert (row.health, row.safe) == (", ".join(healths), False)
    assert row.why.count(SPOILT.what) == 1
    assert f"hil safe {SERIAL}" in row.why


def test_boards_names_a_held_board_as_it_was_last_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_record(tmp_path, SERIAL, BoardRecord().with_name("rack-3").marked_in_use(Holder.here()))
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    monkeypatch.setattr(board_list, "acquire", lease_of(BoardBusyError("it is in use", why="bob has it")))

    row = BoardList("usb")._row(ProbeResult(Verdict.PRESENT, SERIAL))

    assert (row.state, row.name) == ("busy", "rack-3")


def test_boards_names_a_command_that_was_killed_until_the_board_is_used_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    board, boards = ProbeResult(Verdict.DENIED, SERIAL), BoardList("usb")
    lease = acquire(SERIAL, test="hil flash product.img")
    lease.lock.close()  # as a kill does: what the lock file says stays

    rows = [boards._row(board) for _ in range(2)]  # to look changes nothing
    acquire(SERIAL).release()
    used = boards._row(board)

    told = f"hil flash product.img was killed; hil safe {SERIAL}"
    assert [(row.health, row.why) for row in rows] == [("left as it was", told)] * 2
    assert (used.health, used.why) == ("ok", "")


EARLIER = SafetyEvent.made_safe("ada ended without giving it back", "guard", 0.0)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (
            BoardRecord()
            .with_event(EARLIER)
            .marked_in_use(Holder.here()._replace(user="bob", pid=7, command="pytest")),
            f"bob (pid 7, pytest) and its guard ended without giving it back; hil safe {SERIAL}",
        ),
        (
            BoardRecord().with_event(EARLIER).with_event(SafetyEvent.failed("it is silent", "guard")),
            "it is silent",
        ),
    ],
    ids=["in use", "failed"],
)
def test_boards_names_the_newest_cause_of_a_board_that_is_not_safe(
    record: BoardRecord, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path))
    write_record(tmp_path, SERIAL, record)

    row = BoardList("usb")._row(ProbeResult(Verdict.DENIED, SERIAL))

    assert (row.health, row.why) == ("not left safe", why)


def test_boards_has_no_trouble_at_first() -> None:
    assert (BoardRow(SERIAL).health, BoardRow(SERIAL).why) == ("ok", "")


@pytest.mark.parametrize(
    ("room", "heads"),
    [
        (math.inf, "BOARD NAME STATE POWER STICK FIRMWARE HEALTH TAGS"),
        (60, "BOARD NAME STATE POWER STICK HEALTH TAGS"),
        (55, "BOARD NAME STATE POWER STICK HEALTH"),
        (20, "BOARD NAME STATE POWER HEALTH"),
    ],
)
def test_boards_leaves_columns_out_on_a_narrow_terminal(room: float, heads: str) -> None:
    row = BoardRow(SERIAL, "jetson", ["orin"], "0.09", "present", "off", "off", 0.0)

    head, line = _table([asdict(row)], room)

    assert (head.split(), line.split()[0]) == (heads.split(), SERIAL)
    assert len(line) <= max(room, len("5a1c0e01  jetson  present  off, 0.00 W  ok"))
