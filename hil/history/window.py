"""The results of tests in the newest nights of a history, and counts of them, computed by SQL."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hil.evidence.records import without_column
from hil.history.newest_runs import RECENT_RUNS, NewestRuns
from hil.history.schema import BENCH, FAILURES, PARTNER_USES, USES, AttemptOutcome
from hil.history.suspects import Counts, Everywhere, contrast, joined_builds, merged_builds, suspect

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hil.history.suspects import Suspicion

__all__ = ["Result", "Window"]

_IMAGE = "iif(run.image != '', run.image, bench.image)"
_OUTCOMES = {int(outcome): outcome for outcome in AttemptOutcome}

_BY_RUN = attrgetter("run")
_Factors: TypeAlias = "tuple[dict[str, dict[str, Counts]], dict[str, Counts]]"
"""Counts by board and by image, and the counts of all boards."""


class Result(NamedTuple):
    """The result of a test in one run.

    Attributes:
        run: Position of the run in the window.
        outcome: Outcome of the last attempt.
        attempts: Number of attempts.
        failed_attempts: Number of failed attempts.
        board: The last attempt's board; empty if it had none.
        ran: Whether the last attempt started; it does not if its board cannot be used.
        image: The image of the last attempt; empty if it had none.
        partners: The partners of a test.
    """

    run: int
    outcome: AttemptOutcome
    attempts: int
    failed_attempts: int
    board: str
    ran: bool = True
    image: str = ""
    partners: frozenset[str] = frozenset()

    @property
    def boards(self) -> frozenset[str]:
        """All its boards."""
        return self.partners | ({self.board} if self.board else frozenset())

    @property
    def is_flaky(self) -> bool:
        """Whether the test passed only when it was rerun."""
        return self.failed_attempts > 0 and not self.outcome.is_failure


@dataclass
class Window(NewestRuns):
    """The runs of the newest nights, with the results of their tests; see `NewestRuns` for its attributes."""

    @cached_property
    def failing_tests(self) -> dict[int, str]:
        """Tests with failed attempts that are worth a closer look: node ids by number.

        A test that failed only once, not recently, and was not rerun is left out: nothing follows from it.
        """
        late = set(self.numbers[-RECENT_RUNS:])
        rows = self.query(
            "SELECT test, runs, one, most > 1 OR EXISTS "
            "(SELECT 1 FROM attempt WHERE run_id=one AND test_id=test AND number > 1) FROM (SELECT "
            "test_id AS test, count(DISTINCT run_id) AS runs, max(run_id) AS one, max(number) AS most "
            f"FROM attempt WHERE run_id IN {self.within} AND {self.like_newest} AND outcome IN {FAILURES} "
            "GROUP BY test_id)"
        )
        found = [test for test, runs, one, repeated in rows if runs > 1 or one in late or repeated]
        names = f"SELECT id, nodeid FROM test WHERE id IN ({','.join(map(str, found))})"
        return dict(self.query(names))

    @cached_property
    def results(self) -> dict[int, list[Result]]:
        """Results of the failing tests in each run that had them, oldest first."""
        found: dict[int, list[Result]] = defaultdict(list)
        rows = self.query(
            "SELECT test_id, run_id, max(number), outcome, "
            f"CASE WHEN max(number)=1 THEN outcome IN {FAILURES} ELSE sum(outcome IN {FAILURES}) END, "
            f"bench_id, verdict FROM attempt WHERE test_id IN ({','.join(map(str, self.failing_tests))}) "
            f"AND run_id IN {self.within} AND {self.like_newest} GROUP BY test_id, run_id"
        )
        for test, run, attempts, outcome, bad, bench, verdict in rows:
            board, image = self.benches[bench]
            ran, at = bool(board or not verdict), self.position[run]
            kind, image = _OUTCOMES[outcome], self.runs[at].image or image
            partners = self._partners.get((run, test, attempts), frozenset())
            found[test].append(Result(at, kind, attempts, bad, board, ran, image, partners))
        for results in found.values():
            results.sort(key=_BY_RUN)
        return found

    @cached_property
    def _partners(self) -> dict[tuple[int, int, int], frozenset[str]]:
        """The further boards of attempts, by the numbers of run, test and attempt."""
        found: dict[tuple[int, int, int], frozenset[str]] = defaultdict(frozenset)
        rows = self.query(
            f"SELECT run_id, test_id, number, board FROM partner JOIN {BENCH} ON bench.id=bench_id "
            f"WHERE run_id IN {self.within}"
        )
        for run, test, number, board in rows:
            found[run, test, number] |= {board}
        return found

    @cached_property
    def boards(self) -> dict[str, Counts]:
        """Counts of tests by their board; only first attempts, without skips.

        A test with two boards counts for each of them.
        """
        found: dict[str, Counts] = defaultdict(Counts)
        where = f"run_id IN {self.within} AND {self.like_newest} AND board != '' GROUP BY board"
        for board, failed, ran in self.query(
            f"SELECT board, sum(failed), sum(ran) FROM tally JOIN {BENCH} ON bench.id=bench_id WHERE {where} "
            f"UNION ALL SELECT board, sum(outcome IN {FAILURES}), count(*) FROM {PARTNER_USES} "
            f"JOIN {BENCH} ON bench.id=bench_id "
            f"WHERE number=1 AND outcome != {AttemptOutcome.SKIPPED:d} AND {where}"
        ):
            found[board] += Counts(failed, ran)
        return dict(sorted(found.items()))

    def images(self, without: Collection[str] = ()) -> dict[str, Counts]:
        """Return the counts of tests by image, without some boards; only first attempts, without skips."""
        rows = self.query(
            f"SELECT {_IMAGE} AS value, sum(failed), sum(ran) FROM tally JOIN {BENCH} ON bench.id=bench_id "
            f"JOIN run ON run.id=run_id WHERE run_id IN {self.within} AND {self.like_newest} AND value != '' "
            f"AND board NOT IN ({','.join('?' * len(without))}) GROUP BY value ORDER BY value",
            without,
        )
        return {image: Counts(failed, ran) for image, failed, ran in rows}

    def failed_with(self, images: Collection[str]) -> tuple[float, int]:
        """Return the start of the first run in which tests failed with images, and the number of the runs."""
        ((since_s, runs),) = self.query(
            f"SELECT min(began_s), count(DISTINCT run_id) FROM tally JOIN {BENCH} ON bench.id=bench_id "
            f"JOIN run ON run.id=run_id WHERE run_id IN {self.within} AND {self.like_newest} AND failed "
            f"AND {_IMAGE} IN ({','.join('?' * len(images))})",
            images,
        )
        return since_s, runs

    def used_last(self, image: str) -> tuple[set[str], set[str]]:
        """Return the tests that ran with an image in the newest run, as `base_names`, and their boards."""
        rows = self.query(
            f"SELECT nodeid, column_name, board FROM attempt JOIN test ON test.id=test_id JOIN {BENCH} "
            f"ON bench.id=bench_id JOIN run ON run.id=run_id WHERE run_id=? AND {_IMAGE}=? AND number=1 "
            f"AND outcome != {AttemptOutcome.SKIPPED:d}",
            (*self.numbers[-1:], image),
        )
        return {without_column(*row[:2]) for row in rows}, {row[2] for row in rows} - {""}

    @cached_property
    def on_boards(self) -> Counts:
        """Counts of all tests with a board, each once; only first attempts, without skips."""
        ((failed, ran),) = self.query(
            "SELECT sum(failed), sum(ran) FROM tally JOIN bench ON bench.id=bench_id "
            f"WHERE run_id IN {self.within} AND {self.like_newest} AND board != ''"
        )
        return Counts(failed or 0, ran or 0)

    def suspect_board(self) -> Suspicion | None:
        """Return the board that the failures of all tests follow, or None if chance explains them."""
        return self._labelled(suspect({"board": self.boards}, {"board": self.on_boards}))

    def suspect_of(self, test: int, without: Collection[str] = ()) -> Suspicion | None:
        """Return the board or image that a test's failures follow, without runs with some boards."""
        factors, totals = self._factors_of(test, without)
        found = suspect(factors, totals)
        if found is None or found.factor == "board":
            return self._labelled(found, self.siblings(test))
        apart = self.by_image(test, without)
        builds = joined_builds(apart, found.value) if found.here != apart[found.value] else [found.value]
        return self._labelled(found, self.siblings(test), builds)

    def contrast_of(self, test: int, without: Collection[str] = ()) -> str:
        """Return a weak finding about a test in words, see `contrast`; empty if there is none."""
        factors, totals = self._factors_of(test, without)
        boards = {self.labels.get(board, board): one for board, one in factors["board"].items()}
        return contrast({**factors, "board": boards}, totals)

    def _factors_of(self, test: int, without: Collection[str]) -> _Factors:
        key = test, frozenset(without)
        if key not in self._factors:
            self._factors[key] = self._count_factors(test, without)
        return self._factors[key]

    @cached_property
    def _factors(self) -> dict[tuple[int, frozenset[str]], _Factors]:
        """The counts of tests that were asked for, as most are asked for twice."""
        return {}

    def _count_factors(self, test: int, without: Collection[str]) -> _Factors:
        images, last = self.by_image(test, without), self.results[test][-1]
        if last.image in images and last.outcome.is_failure:
            images = merged_builds(images, last.image)
        factors = {"board": self.by_board(test, without), "image": images}
        return factors, {"board": self.counts_of(test, without)}

    def _labelled(
        self, found: Suspicion | None, tests: Sequence[int] = (), builds: Sequence[str] = ()
    ) -> Suspicion | None:
        """Add to a suspicion the name of its board, and in how many runs it failed."""
        if found is None:
            return None
        column = "board" if found.factor == "board" else _IMAGE
        some = f"test_id IN ({','.join(map(str, tests))})" if tests else "1"
        ((runs,),) = self.query(
            f"SELECT count(DISTINCT run_id) FROM {USES} JOIN {BENCH} ON bench.id=bench_id "
            f"JOIN run ON run.id=run_id WHERE run_id IN {self.within} AND outcome IN {FAILURES} "
            f"AND {some} AND {column} IN ({','.join('?' * max(1, len(builds)))})",
            builds or (found.value,),
        )
        label = self.labels.get(found.value, "") if found.factor == "board" else ""
        if len(builds) > 1:
            label = f"{found.value} ({len(builds)} builds)"
        return replace(found, label=label, runs=runs)

    @cached_property
    def everything(self) -> Counts:
        """Counts of all tests, with and without a board; only first attempts, without skips."""
        ((failed, ran),) = self.query(
            f"SELECT sum(failed), sum(ran) FROM tally WHERE run_id IN {self.within} AND {self.like_newest}"
        )
        return Counts(failed or 0, ran or 0)

    def by_board(self, test: int, without: Collection[str] = ()) -> dict[str, Counts]:
        """Return the counts of one test by board, except some boards.

        A test that runs on each board, or with each image, has an id for each; all of them count. An attempt
        with several boards counts for each.
        """
        return self._counted("board", self.siblings(test), without)

    def counts_of(self, test: int, without: Collection[str] = ()) -> Counts:
        """Return the counts of one test on boards, each attempt once; otherwise as `by_board`."""
        return self._counted("iif(board != '', 'all', '')", self.siblings(test), without).get("all", Counts())

    def by_image(self, test: int, without: Collection[str] = ()) -> dict[str, Counts]:
        """Return the counts by image (`HIL_IMAGE`, else the file's name); otherwise as `by_board`."""
        return self._counted(_IMAGE, self.siblings(test), without)

    def siblings(self, test: int) -> list[int]:
        """Return the numbers of the tests that are `test` on all boards and images, itself among them."""
        return self._on_each_board.get(test, [test])

    def fails_on_boards(self, test: int) -> int:
        """Return on how many boards a test that runs on each fails in the newest run."""
        last = (self.results[one][-1] for one in self.siblings(test) if one in self.results)
        newest = len(self.runs) - 1
        failing = (one.boards for one in last if one.run == newest and one.outcome.is_failure)
        return len({board for boards in failing for board in boards})

    def fails_everywhere(self, test: int) -> Everywhere | None:
        """Return the finding about a test that failed in the newest run on each board, with each image."""
        rows = self.query(
            f"SELECT max(number), outcome, nodeid, column_name, board, {_IMAGE} FROM attempt "
            f"JOIN test ON test.id=test_id JOIN {BENCH} ON bench.id=bench_id JOIN run ON run.id=run_id "
            f"WHERE run_id=? AND test_id IN ({','.join(map(str, self.siblings(test)))}) AND board != '' "
            f"AND outcome != {AttemptOutcome.SKIPPED:d} GROUP BY test_id",
            self.numbers[-1:],
        )
        boards, images = ({row[at] for row in rows} - {""} for at in (4, 5))
        if len(rows) < len(boards) * len(images):  # each image on a board of its own: boards are not compared
            boards = set()
        some = max(len(boards), len(images)) > 1
        if not some or not all(AttemptOutcome(row[1]).is_failure for row in rows):
            return None
        return Everywhere(without_column(*rows[0][2:4]), len(boards), len(images))

    @cached_property
    def base_names(self) -> dict[int, str]:
        """The node id that each failing test has on all boards, with all images, by its number."""
        numbers = ",".join(map(str, self.failing_tests))
        rows = self.query(f"SELECT id, nodeid, column_name FROM test WHERE id IN ({numbers})")
        return {number: without_column(*names) for number, *names in rows}

    @cached_property
    def _on_each_board(self) -> dict[int, list[int]]:
        """The tests of the history that run on each board or with each image, each with its siblings."""
        groups: dict[str, list[int]] = defaultdict(list)
        rows = self.query("SELECT id, nodeid, column_name FROM test WHERE column_name != ''")
        for number, nodeid, column in rows:
            groups[without_column(nodeid, column)].append(number)
        return {number: group for group in groups.values() for number in group}

    def outcomes(self, test: int) -> list[tuple[int, AttemptOutcome]]:
        """Return the position of each run that had a test, and its last outcome, oldest first."""
        rows = self.query(
            f"SELECT run_id, outcome, max(number) FROM attempt WHERE test_id=? AND run_id IN {self.within} "
            f"AND {self.like_newest} GROUP BY run_id",
            (test,),
        )
        return sorted((self.position[run], AttemptOutcome(outcome)) for run, outcome, _ in rows)

    def newest_message(self, test: int) -> str:
        """Return the message of the newest failed attempt of a test, on one line."""
        rows = self.query(
            f"SELECT message FROM attempt WHERE test_id=? AND run_id IN {self.within} "
            f"AND {self.like_newest} AND outcome IN {FAILURES} ORDER BY run_id DESC, number DESC LIMIT 1",
            (test,),
        )
        return " ".join(rows[0][0].split()) if rows else ""

    def tests_failing_on(self, board: str) -> int:
        """Return how many tests failed on a board."""
        rows = self.query(
            f"SELECT count(DISTINCT test_id) FROM {USES} JOIN {BENCH} ON bench.id=bench_id "
            f"WHERE run_id IN {self.within} AND outcome IN {FAILURES} AND board=?",
            (board,),
        )
        return int(rows[0][0])

    def _counted(self, value: str, tests: Sequence[int], without: Collection[str]) -> dict[str, Counts]:
        chosen = f"test_id IN ({','.join(map(str, tests))}) AND run_id IN {self.within} AND number=1"
        apart = (
            f"AND (run_id, test_id) NOT IN (SELECT run_id, test_id FROM {USES} JOIN {BENCH} "
            f"ON bench.id=bench_id WHERE {chosen} AND board IN ({','.join('?' * len(without))})) "
        )
        rows = self.query(
            f"SELECT {value} AS value, sum(outcome IN {FAILURES}), count(*) "
            f"FROM {USES if value == 'board' else 'attempt'} "
            f"JOIN {BENCH} ON bench.id=bench_id JOIN run ON run.id=run_id WHERE {chosen} "
            f"AND {self.like_newest} AND outcome != {AttemptOutcome.SKIPPED:d} "
            f"AND value != '' AND (board != '' OR verdict = '') {apart if without else ''}GROUP BY value",
            without,
        )
        return {name: Counts(failed, ran) for name, failed, ran in rows}
