"""Queries for the pages of nights: the results of every test in every run of a window."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.evidence.used_board import natural_key
from hil.history.attempts import attempts_of
from hil.history.schema import BENCH, FAILURES, USES, AttemptOutcome

if TYPE_CHECKING:
    from hil.evidence.records import RecordedTest
    from hil.history.window import Window

__all__ = ["BoardInRun", "MatrixCell", "MatrixQueries"]


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A test in a run: the outcome of the last attempt, the number of failed attempts, the bench's number."""

    outcome: int
    failed: int
    bench: int

    @property
    def is_flaky(self) -> bool:
        """Whether the test passed only when it was rerun."""
        return self.failed > 0 and self.outcome == AttemptOutcome.PASSED


@dataclass(frozen=True, slots=True)
class BoardInRun:
    """A board in a run.

    Attributes:
        run: Position of the run.
        ran: Number of tests that ran on the board.
        failed: Number of tests that failed on it and did not pass when they were rerun.
        flaky: Number of tests that failed on it and passed when they were rerun.
        used_s: How long tests used it, in seconds.
        is_simulated: Whether it is a simulated board.
    """

    run: int
    ran: int
    failed: int
    flaky: int
    used_s: float
    is_simulated: int = False


class MatrixQueries:
    """The queries.

    Args:
        window: The runs.

    Attributes:
        labels: How people know each board.
        label_of: Returns how people know a board.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self.labels = window.labels
        self.label_of = window.label_of
        self._ask = window.query
        self._in = window.within
        self._position = window.position

    def benches(self) -> dict[int, str]:
        """Return how people know the board of each bench, by its number in the database."""
        rows = self._ask(f"SELECT id, board FROM {BENCH}")
        return {bench: self.labels[board] if board else "" for bench, board in rows}

    def cells(self) -> dict[str, dict[int, MatrixCell]]:
        """Return the cells of each test, by position of the run."""
        names = dict(self._ask("SELECT id, nodeid FROM test"))
        found: dict[str, dict[int, MatrixCell]] = defaultdict(dict)
        rows = self._ask(
            f"SELECT run_id, test_id, max(number), outcome, sum(outcome IN {FAILURES}), bench_id "
            f"FROM attempt WHERE run_id IN {self._in} GROUP BY run_id, test_id"
        )
        for run, test, _, outcome, failed, bench in rows:
            found[names[test]][self._position[run]] = MatrixCell(outcome, failed, bench)
        return found

    def attempts(self, nodeid: str) -> list[tuple[int, RecordedTest]]:
        """Return the attempts of a test with the positions of their runs, oldest first."""
        ((test,),) = self._ask("SELECT id FROM test WHERE nodeid=?", (nodeid,))
        return attempts_of(self._ask, self._position, test)

    def boards(self) -> dict[str, list[BoardInRun]]:
        """Return the runs that used each board, oldest first; the boards by their names."""
        found: dict[str, list[BoardInRun]] = defaultdict(list)
        passed_later = (
            "EXISTS (SELECT 1 FROM attempt AS later WHERE later.run_id=attempt.run_id "
            "AND later.test_id=attempt.test_id AND later.number > attempt.number "
            f"AND later.outcome={AttemptOutcome.PASSED:d})"
        )
        rows = self._ask(
            "SELECT board, run_id, "
            f"count(DISTINCT CASE WHEN outcome != {AttemptOutcome.SKIPPED:d} THEN test_id END), "
            f"count(DISTINCT CASE WHEN outcome IN {FAILURES} AND NOT {passed_later} THEN test_id END), "
            f"count(DISTINCT CASE WHEN outcome IN {FAILURES} AND {passed_later} THEN test_id END), "
            "sum(setup_s + call_s + teardown_s), max(simulated) "
            f"FROM {USES} JOIN {BENCH} ON bench.id=bench_id WHERE run_id IN {self._in} AND board != '' "
            "GROUP BY board, run_id"
        )
        for board, run, *counts in rows:
            found[board].append(BoardInRun(self._position[run], *counts))
        return {
            board: sorted(found[board], key=lambda one: one.run)
            for board in sorted(found, key=lambda one: natural_key(self.labels[one]))
        }

    def failures_on(self, board: str, most: int) -> list[tuple[str, int]]:
        """Return the tests that failed on a board in most runs, also if a rerun passed, and in how many."""
        return self._ask(
            f"SELECT nodeid, count(DISTINCT run_id) AS runs FROM {USES} JOIN {BENCH} ON bench.id=bench_id "
            f"JOIN test ON test.id=test_id WHERE run_id IN {self._in} AND outcome IN {FAILURES} AND board=? "
            "GROUP BY test_id ORDER BY runs DESC, nodeid LIMIT ?",
            (board, most),
        )
