"""The newest nights of a history and what its questions count, by SQL and never row by row for all tests."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING

from hil.history.attribution import Counts
from hil.history.models import FAILURES, Outcome, RunFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hil.history.store import History

__all__ = ["AHEAD_S", "Result", "Window", "typical_s"]

AHEAD_S = 3600.0
"""Clocks of hosts may differ; a run that is dated later than so much from now has a wrong date."""

_OUTCOMES = {int(outcome): outcome for outcome in Outcome}
_OF_LATE = 14
"""A test that failed once in so many runs may be new, or fixed."""

_BY_RUN = attrgetter("run")
_RUN = "key, began_s, host, kind, commit_id, image, boards, ended_s, exit_status"

_RUNS_OF_NEWEST_NIGHTS = f"""
  WITH dated AS (
    SELECT id, {_RUN}, date(began_s, 'unixepoch', 'localtime', '-12 hours') AS night
    FROM run WHERE (?1 = '' OR kind = ?1) AND began_s <= ?3)
  SELECT id, {_RUN} FROM dated
  WHERE night IN (SELECT DISTINCT night FROM dated ORDER BY night DESC LIMIT ?2) ORDER BY began_s"""
"""A night goes from noon to noon of this host's time: what runs before and after midnight is one."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a test in one run.

    Attributes:
        run: Position of the run in the window.
        outcome: Of the last attempt.
        attempts: How many there were.
        failed_attempts: How many of them failed.
        board: What the last attempt ran on; empty: no board.
        ran: Whether the last attempt began: it does not where its board cannot be used.
    """

    run: int
    outcome: Outcome
    attempts: int
    failed_attempts: int
    board: str
    ran: bool = True

    @property
    def is_flaky(self) -> bool:
        """Whether it passed only when it was repeated."""
        return self.failed_attempts > 0 and not self.outcome.is_failure


@dataclass
class Window:
    """All runs of the newest nights in which something ran, oldest first.

    Attributes:
        history: Where they are.
        nights: How many nights at most, each from noon to noon.
        kind: Only runs of this kind; empty: all.
        now_s: Runs that are dated later do not count, in seconds since 1970; None if all do.
    """

    history: History
    nights: int = 60
    kind: str = ""
    now_s: float | None = None

    @cached_property
    def runs(self) -> list[RunFacts]:
        """The runs."""
        return [RunFacts(*row[1:]) for row in self._rows]

    @cached_property
    def _rows(self) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        return self.query(_RUNS_OF_NEWEST_NIGHTS, (self.kind, self.nights, self._latest_s))

    @property
    def _latest_s(self) -> float:
        return math.inf if self.now_s is None else self.now_s + AHEAD_S

    @cached_property
    def ahead(self) -> list[RunFacts]:
        """Runs that a clock which was ahead has dated in the future, oldest first."""
        rows = self.query(
            f"SELECT {_RUN} FROM run WHERE (?1 = '' OR kind = ?1) AND began_s > ?2 ORDER BY began_s",
            (self.kind, self._latest_s),
        )
        return [RunFacts(*row) for row in rows]

    @cached_property
    def _numbers(self) -> list[int]:
        return [row[0] for row in self._rows]

    @cached_property
    def position(self) -> dict[int, int]:
        """Where a run is in the window, by its number in the database."""
        return {number: at for at, number in enumerate(self._numbers)}

    @cached_property
    def failing_tests(self) -> dict[int, str]:
        """Tests with failed attempts that are worth a closer look: node ids by number.

        Left out is what failed once, not of late, and was not repeated: nobody can say anything of it.
        """
        late = set(self._numbers[-_OF_LATE:])
        rows = self.query(
            "SELECT test_id, count(DISTINCT run_id), max(run_id), max(number) FROM attempt "
            f"WHERE run_id IN {self.within} AND {self.like_newest} AND outcome IN {FAILURES} GROUP BY test_id"
        )
        found = [
            test
            for test, runs, one, number in rows
            if runs > 1 or number > 1 or one in late or self._was_repeated(one, test)
        ]
        names = f"SELECT id, nodeid FROM test WHERE id IN ({','.join(map(str, found))})"
        return dict(self.query(names))

    @cached_property
    def results(self) -> dict[int, list[Result]]:
        """What became of those tests in each run that had them, oldest first."""
        found: dict[int, list[Result]] = defaultdict(list)
        boards = dict(self.query("SELECT id, board FROM bench"))
        rows = self.query(
            "SELECT test_id, run_id, max(number), outcome, "
            f"CASE WHEN max(number)=1 THEN outcome IN {FAILURES} ELSE sum(outcome IN {FAILURES}) END, "
            f"bench_id, verdict FROM attempt WHERE test_id IN ({','.join(map(str, self.failing_tests))}) "
            f"AND run_id IN {self.within} AND {self.like_newest} GROUP BY test_id, run_id"
        )
        for test, run, attempts, outcome, bad, bench, verdict in rows:
            ran, kind = bool(boards[bench] or not verdict), _OUTCOMES[outcome]
            found[test].append(Result(self.position[run], kind, attempts, bad, boards[bench], ran))
        for results in found.values():
            results.sort(key=_BY_RUN)
        return found

    def _was_repeated(self, run: int, test: int) -> bool:
        rows = self.query("SELECT 1 FROM attempt WHERE run_id=? AND test_id=? AND number>1", (run, test))
        return bool(rows)

    @cached_property
    def boards(self) -> dict[str, Counts]:
        """Tests with a board by its serial number; first attempts alone, and skips are none."""
        rows = self.query(
            "SELECT board, sum(failed), sum(ran) FROM tally JOIN bench ON bench.id=bench_id "
            f"WHERE run_id IN {self.within} AND {self.like_newest} AND board != '' GROUP BY board"
        )
        return {board: Counts(failed, ran) for board, failed, ran in rows}

    @cached_property
    def everything(self) -> Counts:
        """All tests, with a board or without; counted the same way."""
        ((failed, ran),) = self.query(
            f"SELECT sum(failed), sum(ran) FROM tally WHERE run_id IN {self.within} AND {self.like_newest}"
        )
        return Counts(failed or 0, ran or 0)

    def by_board(self, test: int, without: Collection[str] = ()) -> dict[str, Counts]:
        """The same of one test, but for some boards."""
        return self._counted("board", test, without)

    def by_image(self, test: int, without: Collection[str] = ()) -> dict[str, Counts]:
        """Runs of one test by image: what `HIL_IMAGE` said, else the file's name; but for some boards."""
        return self._counted("iif(run.image != '', run.image, bench.image)", test, without)

    def last_counts(self) -> dict[str, int]:
        """Count the tests of the newest run by what became of them: an outcome's name, or `flaky`."""
        if not self.runs:
            return {}
        rows = self.query(
            f"SELECT CASE WHEN most > 1 AND outcome={Outcome.PASSED:d} THEN -1 ELSE outcome END, count(*) "
            "FROM (SELECT outcome, max(number) AS most FROM attempt WHERE run_id=? GROUP BY test_id) "
            "GROUP BY 1 ORDER BY 1",
            self._numbers[-1:],
        )
        return {"flaky" if number < 0 else Outcome(number).name.lower(): count for number, count in rows}

    def simulated_last(self) -> bool:
        """Return True if the newest run had, or asked for, boards, and none but simulated ones."""
        return self._kinds_last == {True}

    @cached_property
    def _kinds_last(self) -> set[bool]:
        """Whether the boards that the newest run had, or asked for, were simulated, real, or both."""
        rows = self.query(
            "SELECT DISTINCT simulated FROM attempt JOIN bench ON bench.id=bench_id "
            "WHERE run_id=? AND (board<>'' OR simulated)",
            self._numbers[-1:] or [None],
        )
        return {bool(simulated) for (simulated,) in rows}

    @cached_property
    def like_newest(self) -> str:
        """The attempts on boards of the newest run's kind, or on none, as SQL has them.

        Simulated boards are another bench: what passes on them says nothing of a real one.
        """
        if len(self._kinds_last) > 1:
            return "1"
        same = "simulated" if self.simulated_last() else "NOT simulated"
        rows = self.query(f"SELECT id FROM bench WHERE board='' OR {same}")
        return f"bench_id IN ({','.join(str(number) for (number,) in rows)})"

    def boards_used_last(self) -> int:
        """How many boards the newest run used."""
        rows = self.query(
            "SELECT count(DISTINCT board) FROM attempt JOIN bench ON bench.id=bench_id "
            "WHERE run_id=? AND board != ''",
            self._numbers[-1:] if self.runs else [None],
        )
        return int(rows[0][0])

    def skipped_last(self) -> dict[int, tuple[str, str]]:
        """Tests that the newest run skipped: node id and verdict by number."""
        rows = self.query(
            "SELECT test_id, nodeid, verdict FROM attempt JOIN test ON test.id=test_id "
            f"WHERE run_id=? AND outcome={Outcome.SKIPPED:d}",
            self._numbers[-1:] if self.runs else [None],
        )
        return {test: (nodeid, verdict) for test, nodeid, verdict in rows}

    def outcomes(self, test: int) -> list[tuple[int, Outcome]]:
        """Position of each run that had a test, and the last attempt's outcome, oldest first."""
        rows = self.query(
            f"SELECT run_id, outcome, max(number) FROM attempt WHERE test_id=? AND run_id IN {self.within} "
            f"AND {self.like_newest} GROUP BY run_id",
            (test,),
        )
        return sorted((self.position[run], Outcome(outcome)) for run, outcome, _ in rows)

    def much_longer(self, newest: int, times: float) -> dict[int, str]:
        """Tests whose mean time, where they passed, is in the newest runs so much above that before.

        A difference that their scatter explains (one standard error) is none. It is a first look: of the
        runs before the newest ones it takes every fifth.
        """
        if len(self.runs) < 2 * newest:
            return {}
        mean = (
            "SELECT test_id, avg(call_s) AS mean, "
            "avg(call_s * call_s) - avg(call_s) * avg(call_s) AS variance "
            f"FROM attempt WHERE outcome={Outcome.PASSED:d} AND {self.like_newest} AND run_id IN ({{}}) "
            "GROUP BY test_id"
        )
        later, earlier = (
            mean.format(",".join(map(str, numbers)))
            for numbers in (self._numbers[-newest:], self._numbers[:-newest:5])
        )
        rows = self.query(
            f"SELECT id, nodeid FROM ({later}) AS later JOIN ({earlier}) AS earlier USING(test_id) "
            "JOIN test ON test.id=test_id WHERE later.mean > earlier.mean * ?1 "
            "AND (later.mean - earlier.mean) * (later.mean - earlier.mean) * ?2 > earlier.variance",
            (times, newest),
        )
        return dict(rows)

    def tests_failing_on(self, board: str) -> int:
        """Count the tests that failed on a board."""
        rows = self.query(
            "SELECT count(DISTINCT test_id) FROM attempt JOIN bench ON bench.id=bench_id "
            f"WHERE run_id IN {self.within} AND outcome IN {FAILURES} AND board=?",
            (board,),
        )
        return int(rows[0][0])

    def call_times_s(self, test: int) -> list[float]:
        """How long its body took where it passed, oldest first."""
        rows = self.query(
            f"SELECT run_id, call_s FROM attempt WHERE test_id=? AND run_id IN {self.within} "
            f"AND {self.like_newest} AND outcome={Outcome.PASSED:d}",
            (test,),
        )
        return [seconds for _, seconds in sorted((self.position[run], seconds) for run, seconds in rows)]

    @cached_property
    def within(self) -> str:
        """The runs as SQL has them; numbers of ours."""
        return f"({','.join(map(str, self._numbers))})"

    def _counted(self, value: str, test: int, without: Collection[str]) -> dict[str, Counts]:
        rows = self.query(
            f"SELECT {value} AS value, sum(outcome IN {FAILURES}), count(*) FROM attempt "
            "JOIN bench ON bench.id=bench_id JOIN run ON run.id=run_id "
            f"WHERE test_id={test:d} AND run_id IN {self.within} AND number=1 "
            f"AND {self.like_newest} AND outcome != {Outcome.SKIPPED:d} AND value != '' "
            "AND (board != '' OR verdict = '') "
            f"AND board NOT IN ({','.join('?' * len(without))}) GROUP BY value",
            without,
        )
        return {name: Counts(failed, ran) for name, failed, ran in rows}

    def query(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        """Ask the database."""
        return self.history.read(sql, values)


def typical_s(history: History, newest: int = 10) -> dict[str, float]:
    """Return the mean time of each test in the newest runs, in seconds; skips do not count."""
    rows = history.read(
        "SELECT nodeid, avg(setup_s + call_s + teardown_s) FROM attempt JOIN test ON test.id=test_id "
        "WHERE run_id IN (SELECT id FROM run WHERE began_s <= ? ORDER BY began_s DESC LIMIT ?) "
        f"AND outcome != {Outcome.SKIPPED:d} GROUP BY test_id",
        (time.time() + AHEAD_S, newest),
    )
    return dict(rows)
