"""A history that hil of December 2026 wrote: tests on each of two boards or on both, with an image."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.evidence.used_board import UsedBoard
from hil.history.detail import of_test
from hil.history.store import History
from hil.history.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

DUMP = Path(__file__).parent / "older" / "december_2026.sql"
IMAGE = "v2.img (100000 bytes, 73d2b10b88ae)"


@pytest.fixture
def older(tmp_path: Path) -> Iterator[History]:
    with closing(sqlite3.connect(tmp_path / "older.db")) as database:
        database.executescript(DUMP.read_text("utf-8"))
    with History(tmp_path / "older.db") as history:
        yield history


def test_of_test_tells_the_attempts_of_an_older_history(older: History) -> None:
    _, lines = of_test(Window(older), "test_second_time[sim-1]")

    assert [line.split()[1:] for line in lines[-2:]] == [
        [
            "failed",
            "sim-1",
            "(eba90b6d)",
            "0.00",
            "s",
            "0.00",
            "W",
            "AssertionError:",
            "assert",
            "(False",
            "or",
            "0)",
        ],
        ["passed", "2", "sim-1", "(eba90b6d)", "0.00", "s", "0.00", "W"],
    ]
    assert any(line.startswith(f"  {IMAGE}       1    2") for line in lines)


def test_of_test_tells_the_boards_of_an_older_history(older: History) -> None:
    data, _ = of_test(Window(older), "test_link")

    (attempt,) = data["attempts"]
    boards = [(one["serial"], one["name"], one["firmware"]) for one in attempt["boards"]]
    assert boards == [("eba90b6d", "sim-1", "0.09"), ("9bd73246", "sim-2", "0.09")]


def test_history_reads_the_run_of_an_older_history(older: History) -> None:
    (run,) = older.runs()

    assert (run.host, run.kind, run.commit, run.exit_status) == ("vm", "nightly", "c0ffee", 1)


def test_history_reads_the_attempts_of_an_older_history(older: History) -> None:
    found = {(one.nodeid, one.last.number): one for one in older.attempts(older.runs()[0].key)}

    assert len(found) == 12
    assert found["test_broken.py", 1].boards == [UsedBoard(simulated=True)]
    assert found["test_boots.py::test_skips", 1].boards == []
    boots = found["test_boots.py::test_boots[sim-2]", 1]
    assert (boots.column, boots.image) == ("sim-2", IMAGE)
    assert list(map(str, boots.last.numbers)) == ["boot is 12.5 s, must be below 20 s"]
