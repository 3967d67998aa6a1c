"""The runs of the newest nights of a history, SQL conditions for them, and what the newest run had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hil.evidence.records import RunRecord
from hil.evidence.used_board import board_label
from hil.history.schema import BENCH, RUN_COLUMNS, USES, AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.evidence.used_board import UsedBoard
    from hil.history.store import History

__all__ = ["AHEAD_S", "RECENT_RUNS", "NewestRuns"]

RECENT_RUNS = 14
"""A test that failed once within this many runs may be a new failure, or just fixed."""

AHEAD_S = 3600.0
"""Clocks of hosts may differ by this many seconds; a run dated later than that has a wrong date."""

_RUNS_OF_NEWEST_NIGHTS = f"""
  WITH dated AS (
    SELECT id, {RUN_COLUMNS}, date(began_s, 'unixepoch', 'localtime', '-12 hours') AS night
    FROM run WHERE (?1 = '' OR kind = ?1) AND began_s <= ?3)
  SELECT id, {RUN_COLUMNS} FROM dated
  WHERE night IN (SELECT DISTINCT night FROM dated ORDER BY night DESC LIMIT ?2) ORDER BY began_s"""
"""A night lasts from noon to noon of this host's time, so runs before and after midnight are of one night."""


@dataclass
class NewestRuns:
    """All runs of the newest nights that have a run, oldest first.

    Attributes:
        history: The history.
        nights: Maximum number of nights.
        kind: Only runs of this kind; empty for all.
        now_s: The present time in seconds since 1970; runs dated later do not count. None to count all.
    """

    history: History
    nights: int = 60
    kind: str = ""
    now_s: float | None = None

    @cached_property
    def runs(self) -> list[RunRecord]:
        """The runs, oldest first."""
        return [RunRecord(*row[1:]) for row in self._rows]

    @cached_property
    def _rows(self) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        return self.query(_RUNS_OF_NEWEST_NIGHTS, (self.kind, self.nights, self._latest_s))

    @property
    def _latest_s(self) -> float:
        return math.inf if self.now_s is None else self.now_s + AHEAD_S

    @cached_property
    def ahead(self) -> list[RunRecord]:
        """Runs that a fast clock dated in the future, oldest first."""
        rows = self.query(
            f"SELECT {RUN_COLUMNS} FROM run WHERE (?1 = '' OR kind = ?1) AND began_s > ?2 ORDER BY began_s",
            (self.kind, self._latest_s),
        )
        return [RunRecord(*row) for row in rows]

    @cached_property
    def numbers(self) -> list[int]:
        """The runs' numbers in the database, oldest first."""
        return [row[0] for row in self._rows]

    @cached_property
    def position(self) -> dict[int, int]:
        """Position of each run in the window, by its number in the database."""
        return {number: at for at, number in enumerate(self.numbers)}

    @cached_property
    def within(self) -> str:
        """SQL list of the runs' numbers."""
        return f"({','.join(map(str, self.numbers))})"

    def simulated_last(self) -> bool:
        """Return True if the newest run had or asked for boards, and all of them were simulated."""
        return self._kinds_last == {True}

    @cached_property
    def _kinds_last(self) -> set[bool]:
        """Whether boards that the newest run had or asked for are simulated; both, or none."""
        rows = self.query(
            "SELECT DISTINCT simulated FROM attempt JOIN bench ON bench.id=bench_id "
            "WHERE run_id=? AND (board<>'' OR simulated)",
            self.numbers[-1:] or [None],
        )
        return {bool(simulated) for (simulated,) in rows}

    @cached_property
    def last_counts(self) -> dict[str, int]:
        """How many tests of the newest run had each outcome, by its name, `flaky` among them."""
        if not self.runs:
            return {}
        rows = self.query(
            f"SELECT iif(most > 1 AND outcome={AttemptOutcome.PASSED:d}, -1, outcome), count(*) "
            "FROM (SELECT outcome, max(number) AS most FROM attempt WHERE run_id=? GROUP BY test_id) "
            "GROUP BY 1 ORDER BY 1",
            self.numbers[-1:],
        )
        return {
            "flaky" if number < 0 else AttemptOutcome(number).name.lower(): count for number, count in rows
        }

    def missing_last(self) -> int:
        """Return how many tests ran in recent runs, and not in the newest one."""
        recent = ",".join(map(str, self.numbers[-RECENT_RUNS:-1]))
        rows = self.query(
            f"SELECT count(DISTINCT test_id) FROM attempt WHERE run_id IN ({recent}) AND {self.like_newest} "
            f"AND outcome != {AttemptOutcome.SKIPPED:d} "
            "AND test_id NOT IN (SELECT test_id FROM attempt WHERE run_id=?)",
            self.numbers[-1:],
        )
        return int(rows[0][0])

    def files_last(self) -> set[str]:
        """Return the files whose tests the newest run had."""
        rows = self.query(
            "SELECT nodeid FROM attempt JOIN test ON test.id=test_id WHERE run_id=?",
            self.numbers[-1:] or [None],
        )
        return {nodeid.partition("::")[0] for (nodeid,) in rows}

    def boards_used_last(self) -> int:
        """Return how many boards the newest run used."""
        rows = self.query(
            f"SELECT count(DISTINCT board) FROM {USES} JOIN bench ON bench.id=bench_id "
            "WHERE run_id=? AND board != ''",
            self.numbers[-1:] if self.runs else [None],
        )
        return int(rows[0][0])

    def skipped_last(self) -> dict[int, tuple[str, str]]:
        """Return the tests that the newest run skipped: node id and verdict by number."""
        rows = self.query(
            "SELECT test_id, nodeid, verdict FROM attempt JOIN test ON test.id=test_id "
            f"WHERE run_id=? AND outcome={AttemptOutcome.SKIPPED:d}",
            self.numbers[-1:] if self.runs else [None],
        )
        return {test: (nodeid, verdict) for test, nodeid, verdict in rows}

    @cached_property
    def like_newest(self) -> str:
        """SQL condition for attempts on boards of the newest run's kind, or without a board.

        Results on simulated boards say nothing about real ones.
        """
        if len(self._kinds_last) > 1:
            return "1"
        same = "simulated" if self.simulated_last() else "NOT simulated"
        rows = self.query(f"SELECT id FROM bench WHERE board='' OR {same}")
        return f"bench_id IN ({','.join(str(number) for (number,) in rows)})"

    @cached_property
    def benches(self) -> dict[int, tuple[str, str]]:
        """Board, as `BENCH` has it, and image of each bench, by its number in the database."""
        rows = self.query(f"SELECT id, board, image FROM {BENCH}")
        return {number: (board, image) for number, board, image in rows}

    @cached_property
    def labels(self) -> dict[str, str]:
        """How people know each board: its newest name, and its serial number if that tells it apart."""
        rows = self.query(
            f"SELECT board, serial, place, max(id) FROM {BENCH} WHERE board != '' GROUP BY board"
        )
        return {
            board: board if board != serial else board_label(serial, name) for board, serial, name, _ in rows
        }

    def label_of(self, board: UsedBoard) -> str:
        """Return how people know a board now."""
        key = board.name if board.simulated and board.name else board.serial
        return self.labels.get(key, board.label)

    def query(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        """Return all rows of a query; raises HistoryError."""
        return self.history.read(sql, values)
