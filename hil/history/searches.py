"""One test or one board in the runs of a window: found by name, with all that is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.history.attribution import Counts
from hil.history.models import FAILURES, Attempt, Bench, Outcome
from hil.history.schema import MESSAGE_SIZE

if TYPE_CHECKING:
    from hil.history.window import Window

__all__ = ["attempts_of", "boards_like", "runs_on", "tests_like", "tests_on"]


def tests_like(window: Window, text: str) -> dict[int, str]:
    """Return the test of that node id, else those that have the text in theirs: node ids by number."""
    exact = dict(window.query("SELECT id, nodeid FROM test WHERE nodeid=?", (text,)))
    return exact or dict(window.query("SELECT id, nodeid FROM test WHERE instr(nodeid, ?)", (text,)))


def boards_like(window: Window, text: str) -> list[str]:
    """Return the serial numbers of boards that have this one, or are at a place of this name."""
    sql = "SELECT DISTINCT board FROM bench WHERE board != '' AND (board=?1 OR place=?1)"
    return [board for (board,) in window.query(sql, (text,))]


def attempts_of(window: Window, test: int, board: str = "") -> list[tuple[int, Attempt]]:
    """Return the attempts of a test with the positions of their runs, oldest first.

    Args:
        window: Which runs.
        test: Its number.
        board: On this board alone; empty: on any.
    """
    rows = window.query(
        "SELECT run_id, board, firmware, place, simulated, image, nodeid, outcome, number, verdict, "
        f"setup_s, call_s, teardown_s, mean_watts, substr(message, 1, {MESSAGE_SIZE}) "
        "FROM attempt JOIN test ON test.id=test_id "
        f"JOIN bench ON bench.id=bench_id WHERE test_id=?1 AND run_id IN {window.within} "
        "AND (?2 = '' OR board=?2)",
        (test, board),
    )
    made = [
        (
            window.position[run],
            Attempt(name, Outcome(outcome), number, Bench(board, firmware, place, bool(sim), image), *rest),
        )
        for run, board, firmware, place, sim, image, name, outcome, number, *rest in rows
    ]
    return sorted(made, key=lambda one: (one[0], one[1].number))


def tests_on(window: Window, board: str) -> list[tuple[str, Counts]]:
    """Return the tests that failed on a board, those that did so most often first."""
    rows = window.query(
        f"SELECT nodeid, sum(outcome IN {FAILURES}) AS failed, count(*) FROM attempt "
        "JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
        f"WHERE run_id IN {window.within} AND number=1 AND outcome != {Outcome.SKIPPED:d} AND board=? "
        "GROUP BY test_id HAVING failed > 0 ORDER BY failed DESC, nodeid",
        (board,),
    )
    return [(name, Counts(failed, ran)) for name, failed, ran in rows]


def runs_on(window: Window, board: str) -> list[tuple[int, Counts, str, str]]:
    """Return for each run that used a board: its position, the counts, the board's firmware and place."""
    rows = window.query(
        "SELECT run_id, sum(failed), sum(ran), max(firmware), max(place) FROM tally "
        f"JOIN bench ON bench.id=bench_id WHERE run_id IN {window.within} AND board=? GROUP BY run_id",
        (board,),
    )
    return sorted((window.position[run], Counts(bad, ran), *words) for run, bad, ran, *words in rows)
