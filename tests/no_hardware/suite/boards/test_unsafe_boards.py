"""What the ledger is told of a board that its run left to a guard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.lab.locks.holder import Holder
from hil.lab.safe_state.record import BoardRecord, SafetyEvent, write_record
from hil.suite.boards.unsafe_boards import await_guard
from hil.suite.outcome.ledger import LeftBoard

if TYPE_CHECKING:
    from pathlib import Path

SERIAL = "5a1c0e01"
IN_USE = BoardRecord().marked_in_use(Holder.here("a.py::test"))


@pytest.mark.parametrize(
    ("record", "is_safe", "told"),
    [
        (
            IN_USE.with_event(SafetyEvent.made_safe("its run failed", "guard", 0.0)),
            True,
            "made safe by guard at",
        ),
        (IN_USE.with_event(SafetyEvent.failed("gone", "guard")), False, "could not be made safe by guard at"),
        (IN_USE, False, "its guard goes on"),
        (
            BoardRecord()
            .with_event(SafetyEvent.made_safe("its run died", "next holder", 0.0))
            .marked_in_use(Holder.here()._replace(pid=1)),
            True,
            "made safe by next holder at",
        ),
    ],
)
def test_look_after_returns_what_the_record_says(
    record: BoardRecord, is_safe: bool, told: str, tmp_path: Path
) -> None:
    write_record(tmp_path, SERIAL, record)

    found, text = await_guard(LeftBoard("it hung", SERIAL, str(tmp_path), os.getpid(), 0.0))

    assert (found, told in text) == (is_safe, True)


def test_look_after_names_no_guard_where_none_runs(tmp_path: Path) -> None:
    write_record(tmp_path, SERIAL, IN_USE)

    found, text = await_guard(LeftBoard("it hung", SERIAL, str(tmp_path), os.getpid(), 0.0, guarded=False))

    assert (found, text) == (False, f"no guard runs, make it safe with `hil safe {SERIAL}`")
