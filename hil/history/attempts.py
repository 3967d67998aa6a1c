"""The attempts of tests as rows of the database; a test with one attempt is the value of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hil.evidence.measurement import Measurement
from hil.evidence.records import RecordedAttempt, RecordedPhase, RecordedTest
from hil.evidence.used_board import UsedBoard
from hil.history.schema import BENCH, MESSAGE_SIZE, USES, AttemptOutcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Read = Callable[[str, Iterable[object]], list[Any]]

__all__ = ["attempts_of", "insert_attempts", "select_attempts"]

_COLUMNS: Final = (
    "nodeid, outcome, number, verdict, setup_s, call_s, teardown_s, mean_watts, "
    f"substr(message, 1, {MESSAGE_SIZE})"
)
"""The columns of an attempt, as `_read_attempt` takes them."""

_PHASES = ("setup", "call", "teardown")
_IS_BENCH = "board=? AND firmware=? AND place=? AND simulated=? AND bench.image=?"


def _read_board(serial: str, firmware: str, name: str, simulated: int) -> UsedBoard | None:
    """Return the board of a row; None for tests that had none and asked for none."""
    return UsedBoard(serial, firmware, name, bool(simulated)) if serial or simulated else None


def _read_attempt(row: Sequence[Any]) -> RecordedTest:
    """Return the attempt of a row of `_COLUMNS`, without its boards, image, numbers and column."""
    nodeid, outcome, number, verdict, *seconds, mean_watts, message = row
    phases = [RecordedPhase(name, duration_s=took) for name, took in zip(_PHASES, seconds, strict=True)]
    attempt = RecordedAttempt(number, AttemptOutcome(outcome).name.lower(), verdict, message, phases=phases)
    attempt.mean_watts = mean_watts
    return RecordedTest(nodeid, attempts=[attempt])


def select_attempts(read: Read, key: str) -> list[RecordedTest]:
    """Return each attempt of the run `key`, by node id and number."""
    made: dict[tuple[str, int], RecordedTest] = {}
    for column, image, *board in read(
        f"SELECT column_name, bench.image, board, firmware, place, simulated, {_COLUMNS} "
        "FROM attempt JOIN run ON run.id=run_id "
        "JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
        "WHERE key=? ORDER BY nodeid, number",
        (key,),
    ):
        one = _read_attempt(board[4:])
        one.column, one.image, one.board = column, image, _read_board(*board[:4])
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


def attempts_of(
    read: Read, position: Mapping[int, int], test: int, board: str = ""
) -> list[tuple[int, RecordedTest]]:
    """Return the attempts of a test with the positions of their runs, oldest first.

    Args:
        read: Returns the rows of a query.
        position: The position of each run, by its number.
        test: Number of the test.
        board: Serial number of the board; empty for all boards.
    """
    apart = f"AND ?2 IN (SELECT board FROM {USES} JOIN {BENCH} ON bench.id=bench_id WHERE {{}})"
    same = "attempt.run_id=chosen.run_id AND attempt.test_id=chosen.test_id AND attempt.number=chosen.number"
    runs = ",".join(map(str, position))
    rows = read(
        f"SELECT chosen.run_id, image, board, firmware, place, simulated, {_COLUMNS} "
        f"FROM {USES.removesuffix('attempt')} chosen "
        "JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
        f"WHERE test_id=?1 AND run_id IN ({runs}) {apart.format(same) if board else ''}",
        (test, board) if board else (test,),
    )
    made: dict[tuple[int, int], RecordedTest] = {}
    for run, image, *row in rows:
        new, used = _read_attempt(row[4:]), _read_board(*row[:4])
        one = made.setdefault((position[run], new.last.number), new)
        if one is new:
            one.image, one.board = image, used
        elif used is not None:
            one.partners.append(used)
    return [(run, made[run, number]) for run, number in sorted(made)]


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
