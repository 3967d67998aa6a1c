"""The tables as SQL, and the upgrades of histories of older versions."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "BENCH",
    "FAILURES",
    "MERGE",
    "MESSAGE_SIZE",
    "PARTNER_USES",
    "RUN_COLUMNS",
    "SCHEMA",
    "UPGRADES",
    "UPSERT_RUN",
    "USES",
    "VERSION",
    "WRONG_ROWS",
    "AttemptOutcome",
    "find_foreign",
]


class AttemptOutcome(enum.IntEnum):
    """The outcome of an attempt, with its number in the database."""

    PASSED = 0
    FAILED = 1
    ERROR = 2
    SKIPPED = 3
    XFAILED = 4
    XPASSED = 5

    @property
    def is_failure(self) -> bool:
        """Whether the attempt failed or had an error."""
        return self in {AttemptOutcome.FAILED, AttemptOutcome.ERROR}


FAILURES = f"({AttemptOutcome.FAILED:d},{AttemptOutcome.ERROR:d})"
"""SQL list of the outcomes that are failures."""

MESSAGE_SIZE: Final = 300
"""How many characters of a message are stored."""

VERSION = 5

_ATTEMPT = (
    *("run_id", "test_id", "number", "outcome", "bench_id", "verdict"),
    *("setup_s", "call_s", "teardown_s", "mean_watts", "message"),
)

_TEST = """CREATE TABLE test(
  id INTEGER PRIMARY KEY, nodeid TEXT NOT NULL UNIQUE, column_name TEXT NOT NULL DEFAULT '')"""
"""Tests; `column_name` is the board and image in the id of a test that runs on each or with each."""

_TEST_3 = "CREATE TABLE test(id INTEGER PRIMARY KEY, nodeid TEXT NOT NULL UNIQUE)"
"""The table up to version 3."""

_BENCH = """(
  id INTEGER PRIMARY KEY, board TEXT NOT NULL, firmware TEXT NOT NULL, place TEXT NOT NULL,
  simulated INTEGER NOT NULL, image TEXT NOT NULL, UNIQUE(board, firmware, place, simulated, image))"""

_BENCH_1 = """(
  id INTEGER PRIMARY KEY, board TEXT NOT NULL, firmware TEXT NOT NULL, place TEXT NOT NULL,
  simulated INTEGER NOT NULL, UNIQUE(board, firmware, place, simulated))"""
"""The table in version 1."""

_TALLY = (
    # First attempts that ran and failed, by run and bench: counting a million attempts takes too long.
    """CREATE TABLE tally(
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, bench_id INTEGER NOT NULL REFERENCES bench,
  ran INTEGER NOT NULL, failed INTEGER NOT NULL, PRIMARY KEY(run_id, bench_id)) WITHOUT ROWID""",
    f"""CREATE TRIGGER tally_attempt AFTER INSERT ON attempt
  WHEN NEW.number=1 AND NEW.outcome != {AttemptOutcome.SKIPPED:d} BEGIN
  INSERT INTO tally VALUES(NEW.run_id, NEW.bench_id, 1, NEW.outcome IN {FAILURES})
  ON CONFLICT(run_id, bench_id) DO UPDATE SET ran=ran+1, failed=failed+excluded.failed; END""",
)

_NUMBERS = (
    """CREATE TABLE measure(
  id INTEGER PRIMARY KEY, test_id INTEGER NOT NULL REFERENCES test, name TEXT NOT NULL, unit TEXT NOT NULL,
  UNIQUE(test_id, name, unit))""",
    # The attempt has the same bench, so that a check of the reference would cost a scan for nothing.
    """CREATE TABLE number(
  measure_id INTEGER NOT NULL REFERENCES measure, run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  attempt INTEGER NOT NULL, position INTEGER NOT NULL, bench_id INTEGER NOT NULL,
  value REAL NOT NULL, below REAL, above REAL,
  PRIMARY KEY(measure_id, run_id, attempt, position)) WITHOUT ROWID""",
    "CREATE INDEX number_by_run ON number(run_id)",
)
"""Numbers of attempts; `position` is the place among all numbers of the attempt."""

_PARTNERS = (
    # The attempt is there already, and a check of the reference would cost a search for each.
    """CREATE TABLE partner(
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, test_id INTEGER NOT NULL,
  number INTEGER NOT NULL, bench_id INTEGER NOT NULL REFERENCES bench,
  PRIMARY KEY(run_id, test_id, number, bench_id)) WITHOUT ROWID""",
)
"""The partners of attempts."""

SCHEMA = (
    """CREATE TABLE run(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, began_s REAL NOT NULL, host TEXT NOT NULL,
  kind TEXT NOT NULL, commit_id TEXT NOT NULL, image TEXT NOT NULL, boards INTEGER NOT NULL,
  ended_s REAL, exit_status INTEGER)""",
    "CREATE INDEX run_by_time ON run(began_s)",
    _TEST,
    f"CREATE TABLE bench{_BENCH}",
    """CREATE TABLE attempt(
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, test_id INTEGER NOT NULL REFERENCES test,
  number INTEGER NOT NULL, outcome INTEGER NOT NULL, bench_id INTEGER NOT NULL REFERENCES bench,
  verdict TEXT NOT NULL, setup_s REAL NOT NULL, call_s REAL NOT NULL, teardown_s REAL NOT NULL,
  mean_watts REAL, message TEXT NOT NULL, PRIMARY KEY(run_id, test_id, number)) WITHOUT ROWID""",
    "CREATE INDEX attempt_by_test ON attempt(test_id, run_id, number, outcome, bench_id, call_s)",
    "CREATE INDEX attempt_by_outcome ON attempt(run_id, outcome, bench_id, test_id)",
    *_TALLY,
    *_NUMBERS,
    *_PARTNERS,
    f"PRAGMA user_version = {VERSION}",
)

UPGRADES = {
    1: (
        f"CREATE TABLE new_bench{_BENCH}",
        "INSERT INTO new_bench SELECT id, board, firmware, place, simulated, '' FROM bench",
        "DROP TABLE bench",
        "ALTER TABLE new_bench RENAME TO bench",
        *_TALLY,
        f"""INSERT INTO tally
  SELECT run_id, bench_id, count(*), sum(outcome IN {FAILURES}) FROM attempt
  WHERE number=1 AND outcome != {AttemptOutcome.SKIPPED:d} GROUP BY run_id, bench_id""",
        "PRAGMA user_version = 2",
    ),
    2: (*_NUMBERS, "PRAGMA user_version = 3"),
    3: (
        "ALTER TABLE test ADD COLUMN column_name TEXT NOT NULL DEFAULT ''",
        "PRAGMA user_version = 4",
    ),
    4: (*_PARTNERS, "PRAGMA user_version = 5"),
}
"""Statements that upgrade each older version to the next one."""


def _definition(statement: str) -> tuple[str, str, str]:
    """Return type, name and text of what a statement creates, without the characters that SQLite changes."""
    text = re.sub(r" ?([(),]) ?", r"\1", " ".join(statement.replace('"', "").split()))
    _, kind, name = re.split(r"[ (]", text, maxsplit=3)[:3]
    return kind.lower(), name, text


_MADE = {one for one in SCHEMA if one.startswith("CREATE")}
_MADE_BY_4 = _MADE - {*_PARTNERS}
_MADE_BY_3 = _MADE_BY_4 - {_TEST} | {_TEST_3}
_MADE_BY_1 = _MADE_BY_3 - {f"CREATE TABLE bench{_BENCH}", *_TALLY, *_NUMBERS}
_MADE_BY: Final = {
    version: set(map(_definition, made))
    for version, made in {
        0: set(),  # a new file
        1: _MADE_BY_1 | {f"CREATE TABLE bench{_BENCH_1}"},
        2: _MADE_BY_3 - set(_NUMBERS),
        3: _MADE_BY_3,
        4: _MADE_BY_4,
        VERSION: _MADE,
    }.items()
}
"""The definition of everything in the database, by version."""


def _is_of_sqlite(kind: str, name: str, sql: str) -> bool:
    """Return True if SQLite creates it by itself: an index for a constraint, a table of ANALYZE."""
    return (kind == "index" and not sql) or (kind == "table" and name.startswith("sqlite_stat"))


def find_foreign(connection: sqlite3.Connection, version: int) -> str:
    """Return the first object that hil did not create, or that is missing; empty if there is none.

    A foreign view or trigger would run whatever query its author wrote.
    """
    found = {
        (kind, name, _definition(sql)[2] if len(sql.split()) > 2 else sql)  # noqa: PLR2004 - CREATE, type, name
        for kind, name, sql in connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master")
        if not _is_of_sqlite(kind, name, sql)
    }
    known = _MADE_BY[version]
    for kind, name, _ in sorted(found - known) or sorted(known - found):
        return f"{kind} {name}"
    return ""


BENCH = """(SELECT id, iif(simulated AND place != '', place, board) AS board, board AS serial, firmware,
  place, simulated, image FROM bench) AS bench"""
"""The benches, for a query: `board` is what tells boards apart over the runs.

That is the serial number, or the name of a simulated board, whose serial number is new in each run.
"""

_OF_PARTNERS = f"""SELECT {", ".join(_ATTEMPT).replace("bench_id", "partner.bench_id")} FROM partner
  JOIN attempt USING(run_id, test_id, number)"""

PARTNER_USES = f"({_OF_PARTNERS}) AS attempt"
"""The attempts with several boards, for a query: once for each board but the first."""

USES = f"(SELECT {', '.join(_ATTEMPT)} FROM attempt UNION ALL {_OF_PARTNERS}) AS attempt"
"""The attempts, for a query: once for each of their boards."""

RUN_COLUMNS = "key, began_s, host, kind, commit_id, image, boards, ended_s, exit_status"
"""The first fields of a `RunRecord`, in their order."""

_ON_CONFLICT = """ON CONFLICT(key) DO UPDATE SET
  commit_id=CASE WHEN excluded.commit_id='' THEN commit_id ELSE excluded.commit_id END,
  image=CASE WHEN excluded.image='' THEN image ELSE excluded.image END,
  boards=CASE WHEN excluded.ended_s IS NOT NULL THEN excluded.boards WHEN ended_s IS NOT NULL THEN boards
    ELSE max(boards, excluded.boards) END,
  ended_s=coalesce(excluded.ended_s, ended_s), exit_status=coalesce(excluded.exit_status, exit_status)"""

UPSERT_RUN = f"INSERT INTO run({RUN_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?) {_ON_CONFLICT}"
"""Insert a run, or update it. Two hosts' copies give the same run in either order."""

_TEXTS = {
    "run": ("key", "host", "kind", "commit_id", "image"),
    "test": ("nodeid", "column_name"),
    "bench": ("board", "firmware", "place", "image"),
    "attempt": ("verdict", "message"),
    "measure": ("name", "unit"),
    "number": (),
    "partner": (),
}
_REALS = {
    "run": ("began_s", "boards", "ended_s", "exit_status"),
    "bench": ("simulated",),
    "attempt": ("number", "outcome", "setup_s", "call_s", "teardown_s", "mean_watts"),
    "number": ("attempt", "position", "value", "below", "above"),
    "partner": ("number",),
}
_GREATEST = {"number": "1e100"}
"""What the numbers of a table must be below, if not 1e11."""

_OUTCOMES = ", ".join(str(int(one)) for one in AttemptOutcome)

WRONG_ROWS = {
    table: " OR ".join(
        (
            *(f"typeof({name}) != 'text'" for name in texts),
            *(
                f"{name} IS NOT NULL AND NOT (typeof({name}) IN ('integer', 'real') "
                f"AND abs({name}) < {_GREATEST.get(table, '1e11')})"
                for name in _REALS.get(table, ())
            ),
            *((f"outcome NOT IN ({_OUTCOMES})",) if table == "attempt" else ()),
        )
    )
    for table, texts in _TEXTS.items()
}
"""For each table of another history, a condition for rows that hil never writes: SQLite stores any type."""

MERGE = (
    f"INSERT INTO run({RUN_COLUMNS}) SELECT {RUN_COLUMNS} FROM theirs.run WHERE true {_ON_CONFLICT}",
    """INSERT INTO test(nodeid, column_name) SELECT nodeid, column_name FROM theirs.test WHERE true
  ON CONFLICT(nodeid) DO UPDATE SET column_name=max(column_name, excluded.column_name)""",
    """INSERT OR IGNORE INTO bench(board, firmware, place, simulated, image)
  SELECT board, firmware, place, simulated, image FROM theirs.bench""",
    """INSERT OR IGNORE INTO attempt
  SELECT run.id, test.id, number, outcome, bench.id, verdict, setup_s, call_s, teardown_s, mean_watts, message
  FROM theirs.attempt AS a
  JOIN theirs.run AS r ON r.id=a.run_id JOIN main.run ON run.key=r.key
  JOIN theirs.test AS t ON t.id=a.test_id JOIN main.test ON test.nodeid=t.nodeid
  JOIN theirs.bench AS b ON b.id=a.bench_id JOIN main.bench ON bench.board=b.board
  AND bench.firmware=b.firmware AND bench.place=b.place AND bench.simulated=b.simulated
  AND bench.image=b.image""",
    """INSERT OR IGNORE INTO measure(test_id, name, unit)
  SELECT test.id, name, unit FROM theirs.measure AS m
  JOIN theirs.test AS t ON t.id=m.test_id JOIN main.test ON test.nodeid=t.nodeid""",
    """INSERT OR IGNORE INTO number
  SELECT measure.id, run.id, n.attempt, n.position, a.bench_id, n.value, n.below, n.above
  FROM theirs.number AS n
  JOIN theirs.run AS r ON r.id=n.run_id JOIN main.run ON run.key=r.key
  JOIN theirs.measure AS m ON m.id=n.measure_id
  JOIN theirs.test AS t ON t.id=m.test_id JOIN main.test ON test.nodeid=t.nodeid
  JOIN main.measure ON measure.test_id=test.id AND measure.name=m.name AND measure.unit=m.unit
  JOIN main.attempt AS a ON a.run_id=run.id AND a.test_id=test.id AND a.number=n.attempt""",
    """INSERT OR IGNORE INTO partner
  SELECT run.id, test.id, number, bench.id FROM theirs.partner AS p
  JOIN theirs.run AS r ON r.id=p.run_id JOIN main.run ON run.key=r.key
  JOIN theirs.test AS t ON t.id=p.test_id JOIN main.test ON test.nodeid=t.nodeid
  JOIN theirs.bench AS b ON b.id=p.bench_id JOIN main.bench ON bench.board=b.board
  AND bench.firmware=b.firmware AND bench.place=b.place AND bench.simulated=b.simulated
  AND bench.image=b.image""",
)
"""Insert what another history, attached as `theirs`, has and this one lacks."""
