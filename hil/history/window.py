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
        by_test: dict[int, dict[int, Result]] = defaultdict(dict)
        for test in self.failing_tests:
            for run, _number, outcome, board in self._query(
                f"SELECT run_id, number, outcome, board FROM attempt JOIN bench ON bench.id=bench_id "
                f"WHERE test_id=? AND run_id IN {self._in} ORDER BY run_id, number",
                (test,),
            ):
                before = by_test[test].get(run)
                bad = int(Outcome(outcome).is_failure) + (before.failed_attempts if before else 0)
                attempts = 1 + (before.attempts if before else 0)
                by_test[test][run] = Result(self._position[run], Outcome(outcome), attempts, bad, board)
        return {
            test: sorted(found.values(), key=lambda result: result.run) for test, found in by_test.items()
        }

    @cached_property
    def boards(self) -> dict[str, Counts]:
        """Tests with a board by its serial number, first attempts alone; skips are none."""
        return self._counted(
            f"SELECT board, sum(outcome IN {_BAD}), count(*) FROM attempt JOIN bench ON bench.id=bench_id "
            f"WHERE run_id IN {self._in} AND number=1 AND outcome != {Outcome.SKIPPED:d} AND board != '' GROUP BY board"
        )

    def by_board(self, test: int) -> dict[str, Counts]:
        """The same of one test."""
        return self._counted(
            f"SELECT board, sum(outcome IN {_BAD}), count(*) FROM attempt JOIN bench ON bench.id=bench_id "
            f"WHERE test_id=? AND run_id IN {self._in} AND number=1 AND outcome != {Outcome.SKIPPED:d} AND board != '' "
            "GROUP BY board",
            (test,),
        )

    def by_image(self, test: int) -> dict[str, Counts]:
        """Attempts of one test by image."""
        return self._counted(
            f"SELECT image, sum(outcome IN {_BAD}), count(*) FROM attempt JOIN run ON run.id=run_id "
            f"WHERE test_id=? AND run_id IN {self._in} AND number=1 AND outcome != {Outcome.SKIPPED:d} AND image != '' "
            "GROUP BY image",
            (test,),
        )

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
        """Tests that passed and whose mean time in the newest runs is so much above that before."""
        if len(self.runs) < 2 * newest:
            return {}
        later = ",".join(map(str, self._numbers[-newest:]))
        rows = self._query(
            f"SELECT test_id, nodeid, avg(CASE WHEN run_id IN ({later}) THEN call_s END) AS later_s, "
            f"avg(CASE WHEN run_id NOT IN ({later}) THEN call_s END) AS earlier_s "
            f"FROM attempt JOIN test ON test.id=test_id WHERE run_id IN {self._in} "
            f"AND outcome={Outcome.PASSED:d} GROUP BY test_id HAVING later_s > earlier_s * ?",
            (times,),
        )
        return {test: nodeid for test, nodeid, _, _ in rows}

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

    def _counted(self, sql: str, values: Iterable[object] = ()) -> dict[str, Counts]:
        return {name: Counts(failed, ran) for name, failed, ran in self._query(sql, values)}

    def _query(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        return self.history.connection.execute(sql, tuple(values)).fetchall()
