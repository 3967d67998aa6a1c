"""Queries for the pages of nights: the results of every test in every run of a window."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.history.schema import BENCH, FAILURES, MESSAGE_SIZE, USES, AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.history.window import Window

__all__ = ["AttemptInRun", "BoardInRun", "MatrixCell", "MatrixQueries"]


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
class AttemptInRun:
    """An attempt of a test: position of its run, outcome, number, boards, duration, message."""

    run: int
    outcome: AttemptOutcome
    number: int
    boards: list[str]
    took_s: float
    message: str


@dataclass(frozen=True, slots=True)
class BoardInRun:
    """A board in a run: position of the run, first attempts that ran and failed, seconds used, its kind."""

    run: int
    ran: int
    failed: int
    used_s: float
    is_simulated: int = False


class MatrixQueries:
    """The queries.

    Args:
        window: The runs.

    Attributes:
        labels: How people know each board.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self.labels = window.labels
        keys = [run.key for run in window.runs]
        marks = ",".join("?" * len(keys))
        found = dict(self._ask(f"SELECT key, id FROM run WHERE key IN ({marks})", keys))
        self._position = {found[key]: at for at, key in enumerate(keys)}
        self._in = f"({','.join(map(str, found.values()))})"

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

    def attempts(self, nodeid: str) -> list[AttemptInRun]:
        """Return the attempts of a test, oldest first."""
        rows = self._ask(
            "SELECT run_id, outcome, number, board, call_s, "
            f"substr(message, 1, {MESSAGE_SIZE}) FROM {USES} "
            f"JOIN {BENCH} ON bench.id=bench_id WHERE test_id=(SELECT id FROM test WHERE nodeid=?) "
            f"AND run_id IN {self._in}",
            (nodeid,),
        )
        made: dict[tuple[int, int], AttemptInRun] = {}
        for run, outcome, number, board, *rest in rows:
            at = self._position[run]
            one = made.setdefault((at, number), AttemptInRun(at, AttemptOutcome(outcome), number, [], *rest))
            one.boards.extend([self.labels[board]] if board else [])
        return [made[key] for key in sorted(made)]

    def boards(self) -> dict[str, list[BoardInRun]]:
        """Return the runs that used each board, oldest first."""
        found: dict[str, list[BoardInRun]] = defaultdict(list)
        rows = self._ask(
            f"SELECT board, run_id, sum(number=1 AND outcome != {AttemptOutcome.SKIPPED:d}), "
            f"sum(number=1 AND outcome IN {FAILURES}), sum(setup_s + call_s + teardown_s), max(simulated) "
            f"FROM {USES} JOIN {BENCH} ON bench.id=bench_id WHERE run_id IN {self._in} AND board != '' "
            "GROUP BY board, run_id"
        )
        for board, run, *counts in rows:
            found[board].append(BoardInRun(self._position[run], *counts))
        return {board: sorted(of_it, key=lambda one: one.run) for board, of_it in sorted(found.items())}

    def failures_on(self, board: str, most: int) -> list[tuple[str, int]]:
        """Return the tests that failed on a board most often, with the number of failures."""
        return self._ask(
            f"SELECT nodeid, count(*) FROM {USES} JOIN {BENCH} ON bench.id=bench_id "
            f"JOIN test ON test.id=test_id WHERE run_id IN {self._in} AND outcome IN {FAILURES} AND board=? "
            "GROUP BY test_id ORDER BY count(*) DESC, nodeid LIMIT ?",
            (board, most),
        )

    def _ask(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        return self._window.history.read(sql, values)
