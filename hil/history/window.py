"""The newest runs of a history and what its questions count, by SQL and never row by row for all tests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hil.history.attribution import Counts
from hil.history.facts import Outcome, RunFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.history.store import History

__all__ = ["Result", "Window"]

_BAD = f"({Outcome.FAILED:d},{Outcome.ERROR:d})"
_OUTCOMES = {int(outcome): outcome for outcome in Outcome}
_RUN = "key, began_s, host, kind, commit_id, image, boards, ended_s, exit_status"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a test in one run.

    Attributes:
        run: Position of the run in the window.
        outcome: Of the last attempt.
        attempts: How many there were.
        failed_attempts: How many of them failed.
        board: What the last attempt ran on; empty: no board.
    """

    run: int
    outcome: Outcome
    attempts: int
    failed_attempts: int
    board: str

    @property
    def is_flaky(self) -> bool:
        """Whether it passed only when it was repeated."""
        return self.failed_attempts > 0 and not self.outcome.is_failure


@dataclass
class Window:
    """The newest `nights` runs, oldest first.

    Attributes:
        history: Where they are.
        nights: How many at most.
        kind: Only runs of this kind; empty: all.
    """

    history: History
    nights: int = 60
    kind: str = ""

    @cached_property
    def runs(self) -> list[RunFacts]:
        """The runs."""
        return [RunFacts(*row[1:]) for row in self._rows]

    @cached_property
    def _rows(self) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        newest_first = self._query(
            f"SELECT id, {_RUN} FROM run WHERE ?1 = '' OR kind = ?1 ORDER BY began_s DESC LIMIT ?2",
            (self.kind, self.nights),
        )
        return newest_first[::-1]

    @cached_property
    def _numbers(self) -> list[int]:
        return [row[0] for row in self._rows]

    @cached_property
    def _position(self) -> dict[int, int]:
        return {number: at for at, number in enumerate(self._numbers)}

    @cached_property
    def failing_tests(self) -> dict[int, str]:
        """Tests with a failed attempt in any of the runs: node ids by number."""
        return dict(
            self._query(
                f"SELECT DISTINCT test_id, nodeid FROM attempt JOIN test ON test.id=test_id "
                f"WHERE run_id IN {self._in} AND outcome IN {_BAD}"
            )
        )

    @cached_property
    def results(self) -> dict[int, list[Result]]:
        """What became of the failing tests in each run that had them, oldest first."""
        found: dict[int, list[Result]] = defaultdict(list)
        boards = dict(self._query("SELECT id, board FROM bench"))
        rows = self._query(
            "SELECT test_id, run_id, max(number), outcome, "
            f"CASE WHEN max(number)=1 THEN outcome IN {_BAD} ELSE sum(outcome IN {_BAD}) END, bench_id "
            f"FROM attempt WHERE run_id IN {self._in} AND test_id IN (SELECT DISTINCT test_id FROM attempt "
            f"WHERE run_id IN {self._in} AND outcome IN {_BAD}) GROUP BY run_id, test_id"
        )
        for test, run, attempts, outcome, bad, bench in rows:
            found[test].append(Result(self._position[run], _OUTCOMES[outcome], attempts, bad, boards[bench]))
        for results in found.values():
            results.sort(key=lambda result: result.run)
        return found

    @cached_property
    def boards(self) -> dict[str, Counts]:
        """Tests with a board by its serial number; first attempts alone, and skips are none."""
        return self._counted("board")

    def by_board(self, test: int) -> dict[str, Counts]:
        """The same of one test."""
        return self._counted("board", test)

    def by_image(self, test: int) -> dict[str, Counts]:
        """Runs of one test by image."""
        return self._counted("image", test)

    def last_counts(self) -> dict[Outcome, int]:
        """Attempts of the newest run by outcome."""
        if not self.runs:
            return {}
        rows = self._query(
            "SELECT outcome, count(*) FROM attempt WHERE run_id=? GROUP BY outcome", self._numbers[-1:]
        )
        return {Outcome(outcome): count for outcome, count in rows}

    def boards_used_last(self) -> int:
        """How many boards the newest run used."""
        rows = self._query(
            "SELECT count(DISTINCT board) FROM attempt JOIN bench ON bench.id=bench_id "
            "WHERE run_id=? AND board != ''",
            self._numbers[-1:] if self.runs else [None],
        )
        return int(rows[0][0])

    def skipped_last(self) -> dict[int, tuple[str, str]]:
        """Tests that the newest run skipped: node id and verdict by number."""
        rows = self._query(
            "SELECT test_id, nodeid, verdict FROM attempt JOIN test ON test.id=test_id "
            f"WHERE run_id=? AND outcome={Outcome.SKIPPED:d}",
            self._numbers[-1:] if self.runs else [None],
        )
        return {test: (nodeid, verdict) for test, nodeid, verdict in rows}

    def outcomes(self, test: int) -> list[tuple[int, Outcome]]:
        """Position of each run that had a test, and the last attempt's outcome, oldest first."""
        rows = self._query(
            f"SELECT run_id, outcome, max(number) FROM attempt WHERE test_id=? AND run_id IN {self._in} "
            "GROUP BY run_id",
            (test,),
        )
        return sorted((self._position[run], Outcome(outcome)) for run, outcome, _ in rows)

    def much_longer(self, newest: int, times: float) -> dict[int, str]:
        """Tests whose mean time, where they passed, is in the newest runs so much above that before.

        A difference that their scatter explains (two standard errors) is none.
        """
        if len(self.runs) < 2 * newest:
            return {}
        later = f"run_id IN ({','.join(map(str, self._numbers[-newest:]))})"
        rows = self._query(
            "SELECT test_id, nodeid FROM (SELECT test_id, "
            f"avg(CASE WHEN {later} THEN call_s END) AS later_s, "
            f"avg(CASE WHEN NOT {later} THEN call_s END) AS earlier_s, "
            "avg(call_s * call_s) - avg(call_s) * avg(call_s) AS variance "
            f"FROM attempt WHERE run_id IN {self._in} AND outcome={Outcome.PASSED:d} GROUP BY test_id "
            f"HAVING later_s > earlier_s * ? AND (later_s - earlier_s) * (later_s - earlier_s) * {newest:d} "
            "> 4 * variance) JOIN test ON test.id=test_id",
            (times,),
        )
        return dict(rows)

    def call_times_s(self, test: int) -> list[float]:
        """How long its body took where it passed, oldest first."""
        rows = self._query(
            f"SELECT run_id, call_s FROM attempt WHERE test_id=? AND run_id IN {self._in} "
            f"AND outcome={Outcome.PASSED:d}",
            (test,),
        )
        return [seconds for _, seconds in sorted((self._position[run], seconds) for run, seconds in rows)]

    @cached_property
    def _in(self) -> str:
        """The runs as SQL has them; numbers of ours."""
        return f"({','.join(map(str, self._numbers))})"

    def _counted(self, column: str, test: int | None = None) -> dict[str, Counts]:
        other = "bench ON bench.id=bench_id" if column == "board" else "run ON run.id=run_id"
        rows = self._query(
            f"SELECT {column}, sum(outcome IN {_BAD}), count(*) FROM attempt JOIN {other} "
            f"WHERE run_id IN {self._in} {'' if test is None else f'AND test_id={test:d}'} AND number=1 "
            f"AND outcome != {Outcome.SKIPPED:d} AND {column} != '' GROUP BY {column}"
        )
        return {name: Counts(failed, ran) for name, failed, ran in rows}

    def _query(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        return self.history.connection.execute(sql, tuple(values)).fetchall()
