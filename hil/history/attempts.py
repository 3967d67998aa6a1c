"""The attempts of tests as rows of the database; a test with one attempt is the value of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hil.evidence.measurement import Measurement
from hil.evidence.records import RecordedAttempt, RecordedPhase, RecordedTest
from hil.evidence.used_board import UsedBoard
from hil.history.schema import MESSAGE_SIZE, AttemptOutcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    Read = Callable[[str, Iterable[object]], list[Any]]

__all__ = ["ATTEMPT_COLUMNS", "insert_attempts", "read_attempt", "read_board", "select_attempts"]

ATTEMPT_COLUMNS: Final = (
    "nodeid, outcome, number, verdict, setup_s, call_s, teardown_s, mean_watts, "
    f"substr(message, 1, {MESSAGE_SIZE})"
)
"""The columns of an attempt, as `read_attempt` takes them."""

_PHASES = ("setup", "call", "teardown")
_IS_BENCH = "board=? AND firmware=? AND place=? AND simulated=? AND bench.image=?"


def read_board(serial: str, firmware: str, name: str, simulated: int) -> UsedBoard | None:
    """Return the board of a row; None for tests that had none and asked for none."""
    return UsedBoard(serial, firmware, name, bool(simulated)) if serial or simulated else None


def read_attempt(row: Sequence[Any]) -> RecordedTest:
    """Return the attempt of a row of `ATTEMPT_COLUMNS`, without its boards, image, numbers and column."""
    nodeid, outcome, number, verdict, *seconds, mean_watts, message = row
    phases = [RecordedPhase(name, duration_s=took) for name, took in zip(_PHASES, seconds, strict=True)]
    attempt = RecordedAttempt(number, AttemptOutcome(outcome).name.lower(), verdict, message, phases=phases)
    attempt.mean_watts = mean_watts
    return RecordedTest(nodeid, attempts=[attempt])


def select_attempts(read: Read, key: str) -> list[RecordedTest]:
    """Return each attempt of the run `key`, by node id and number."""
    made: dict[tuple[str, int], RecordedTest] = {}
    for column, image, *board in read(
        f"SELECT column_name, bench.image, board, firmware, place, simulated, {ATTEMPT_COLUMNS} "
        "FROM attempt JOIN run ON run.id=run_id "
        "JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
        "WHERE key=? ORDER BY nodeid, number",
        (key,),
    ):
        one = read_attempt(board[4:])
        one.column, one.image, one.board = column, image, read_board(*board[:4])
        made[one.nodeid, one.last.number] = one
    for nodeid, number, *measured in read(
        "SELECT nodeid, attempt, name, value, unit, below, above FROM number "
        "JOIN run ON run.id=run_id JOIN measure ON measure.id=measure_id JOIN test ON test.id=test_id "
        "WHERE key=? ORDER BY position",
        (key,),
    ):
        made[nodeid, number].last.numbers.append(Measurement(*measured))
    for nodeid, number, serial, firmware, name, simulated in read(
        "SELECT nodeid, number, board, firmware, place, simulated FROM partner "
        "JOIN run ON run.id=run_id JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
        "WHERE key=? ORDER BY place, board",
        (key,),
    ):
        made[nodeid, number].partners.append(UsedBoard(serial, firmware, name, bool(simulated)))
    return list(made.values())


def insert_attempts(connection: sqlite3.Connection, run: int, tests: Iterable[RecordedTest]) -> None:
    """Insert all attempts of tests; one that is stored already stays as it is."""
    for test in tests:
        connection.execute(
            "INSERT INTO test(nodeid, column_name) VALUES(?, ?) ON CONFLICT(nodeid) DO UPDATE "
            "SET column_name=excluded.column_name WHERE excluded.column_name NOT IN ('', column_name)",
            (test.nodeid, test.column),
        )
        bench, *partners = [
            _insert_bench(connection, one, test.image) for one in test.boards or [UsedBoard()]
        ]
        for one in test.attempts:
            _insert_attempt(connection, run, test.nodeid, one, bench)
            for partner in partners:
                connection.execute(
                    "INSERT OR IGNORE INTO partner SELECT ?, test.id, ?, bench.id FROM test, bench "
                    f"WHERE nodeid=? AND {_IS_BENCH}",
                    (run, one.number, test.nodeid, *partner),
                )


def _insert_bench(connection: sqlite3.Connection, board: UsedBoard, image: str) -> tuple[object, ...]:
    """Insert a board with an image, and return its row."""
    row = (board.serial, board.firmware, board.name, board.simulated, image)
    connection.execute(
        "INSERT OR IGNORE INTO bench(board, firmware, place, simulated, image) VALUES(?,?,?,?,?)", row
    )
    return row


def _insert_attempt(
    connection: sqlite3.Connection, run: int, nodeid: str, one: RecordedAttempt, bench: Iterable[object]
) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO attempt SELECT ?, test.id, ?, ?, bench.id, ?, ?, ?, ?, ?, ? FROM test, bench "
        f"WHERE nodeid=? AND {_IS_BENCH}",
        (
            *(run, one.number, AttemptOutcome[one.outcome.upper()], one.verdict),
            *(*map(one.seconds_of, _PHASES), one.mean_watts, one.message[:MESSAGE_SIZE], nodeid, *bench),
        ),
    )
    for position, number in enumerate(one.numbers):
        connection.execute(
            "INSERT OR IGNORE INTO measure(test_id, name, unit) SELECT id, ?, ? FROM test WHERE nodeid=?",
            (number.name, number.unit, nodeid),
        )
        connection.execute(
            "INSERT OR IGNORE INTO number SELECT measure.id, ?, ?, ?, bench_id, ?, ?, ? "
            "FROM test JOIN measure ON measure.test_id=test.id "
            "JOIN attempt ON attempt.test_id=test.id AND run_id=? AND number=? "
            "WHERE nodeid=? AND name=? AND unit=?",
            (
                *(run, one.number, position, number.value, number.below, number.above),
                *(run, one.number, nodeid, number.name, number.unit),
            ),
        )
