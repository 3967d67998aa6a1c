"""The database: SQLite in one file, readers never wait, one writer at a time by a kernel lock of its own.

Each attempt is written when it is known, so that a run that is killed leaves all that it found.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple
from typing import TYPE_CHECKING, Self

from hil.dutlink.waiting import until
from hil.errors import HistoryError
from hil.history.facts import Attempt, Bench, Outcome, RunFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["History"]

VERSION = 1
_TURN_LIMIT_S = 30.0
_BUSY_MS = 30_000
_MESSAGE_SIZE = 300
_CHUNK = 10_000

_SCHEMA = f"""
CREATE TABLE run(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, began_s REAL NOT NULL, host TEXT NOT NULL,
  kind TEXT NOT NULL, commit_id TEXT NOT NULL, image TEXT NOT NULL, boards INTEGER NOT NULL,
  ended_s REAL, exit_status INTEGER);
CREATE INDEX run_by_time ON run(began_s);
CREATE TABLE test(id INTEGER PRIMARY KEY, nodeid TEXT NOT NULL UNIQUE);
CREATE TABLE bench(
  id INTEGER PRIMARY KEY, board TEXT NOT NULL, firmware TEXT NOT NULL, place TEXT NOT NULL,
  simulated INTEGER NOT NULL, UNIQUE(board, firmware, place, simulated));
CREATE TABLE attempt(
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, test_id INTEGER NOT NULL REFERENCES test,
  number INTEGER NOT NULL, outcome INTEGER NOT NULL, bench_id INTEGER NOT NULL REFERENCES bench,
  verdict TEXT NOT NULL, setup_s REAL NOT NULL, call_s REAL NOT NULL, teardown_s REAL NOT NULL,
  mean_watts REAL, message TEXT NOT NULL, PRIMARY KEY(run_id, test_id, number)) WITHOUT ROWID;
CREATE INDEX attempt_by_test ON attempt(test_id, run_id, number, outcome, bench_id, call_s);
CREATE INDEX attempt_by_outcome ON attempt(run_id, outcome, bench_id, test_id);
PRAGMA user_version = {VERSION};
"""

_RUN_COLUMNS = "key, began_s, host, kind, commit_id, image, boards, ended_s, exit_status"

_ENTER_RUN = f"""
INSERT INTO run({_RUN_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?) ON CONFLICT(key) DO UPDATE SET
  commit_id=CASE WHEN excluded.commit_id='' THEN commit_id ELSE excluded.commit_id END,
  image=CASE WHEN excluded.image='' THEN image ELSE excluded.image END,
  boards=CASE WHEN excluded.ended_s IS NOT NULL THEN excluded.boards WHEN ended_s IS NOT NULL THEN boards
    ELSE max(boards, excluded.boards) END,
  ended_s=coalesce(excluded.ended_s, ended_s), exit_status=coalesce(excluded.exit_status, exit_status)
"""
"""A run, or what is new of it. Of two hosts' copies it makes the same run in either order."""


class History:
    """A history; a `with` block closes it.

    Args:
        path: The file; it and its folder are made where they are missing.

    Raises:
        HistoryError: It cannot be opened, is no history, or is one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def begin_run(self, run: RunFacts) -> None:
        """Enter a run, or what is new of it.

        Raises:
            HistoryError: It cannot be written: a full disk, another writer that does not end.
        """
        with self._writing():
            self.connection.execute(_ENTER_RUN, astuple(run))

    end_run = begin_run

    def close_run(self, key: str, ended_s: float, exit_status: int) -> None:
        """End the run `key` as the process that started it saw it end; when it ended stays, if it said so.

        Raises:
            HistoryError: As `begin_run`.
        """
        with self._writing():
            self.connection.execute(
                "UPDATE run SET ended_s=coalesce(ended_s, ?), exit_status=? WHERE key=?",
                (ended_s, exit_status, key),
            )

    def add(self, key: str, attempts: Iterable[Attempt]) -> None:
        """Enter attempts of the run `key`; one that is there already stays as it is.

        Raises:
            HistoryError: As `begin_run`; then none of them was entered.
        """
        with self._writing():
            row = self.connection.execute("SELECT id FROM run WHERE key=?", (key,)).fetchone()
            if row is None:
                raise HistoryError(
                    f"the run {key} is not in {self.path}",
                    why="somebody removed it while it was running",
                    remedy="let retention keep more nights than one",
                )
            self._insert(row[0], attempts)

    def runs(self, newest: int | None = None) -> list[RunFacts]:
        """Return the newest runs, or all, oldest first."""
        rows = self.connection.execute(
            f"SELECT {_RUN_COLUMNS} FROM run ORDER BY began_s DESC LIMIT ?",
            (-1 if newest is None else newest,),
        ).fetchall()
        return [RunFacts(*row) for row in reversed(rows)]

    def attempts(self, key: str) -> list[Attempt]:
        """Return the attempts of a run."""
        rows = self.connection.execute(
            "SELECT nodeid, outcome, number, board, firmware, place, simulated, verdict, setup_s, call_s, "
            "teardown_s, mean_watts, message FROM attempt JOIN run ON run.id=run_id "
            "JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
            "WHERE key=? ORDER BY nodeid, number",
            (key,),
        )
        return [
            Attempt(nodeid, Outcome(outcome), number, Bench(board, firmware, place, bool(simulated)), *rest)
            for nodeid, outcome, number, board, firmware, place, simulated, *rest in rows
        ]

    def merge(self, other: Path) -> int:
        """Take in every run of another host's history that is not here yet; returns how many there were.

        Merging the same file again changes nothing, except that runs that went on since are completed.

        Raises:
            HistoryError: The other file is no history, or this one cannot be written: nothing was merged.
        """
        if not other.is_file():
            raise HistoryError(f"{other} is not there", remedy="give the path of another history")
        known = {run.key for run in self.runs()}
        with History(other) as theirs:
            runs = theirs.runs()
            with self._writing():
                for run in runs:
                    self._merge_run(run, theirs)
        return sum(run.key not in known for run in runs)

    def forget_before(self, time_s: float) -> int:
        """Remove the runs that began before that time, in seconds since 1970; returns how many.

        Raises:
            HistoryError: As `begin_run`.
        """
        with self._writing():
            removed = self.connection.execute("DELETE FROM run WHERE began_s < ?", (time_s,)).rowcount
            for table in ("test", "bench"):
                self.connection.execute(
                    f"DELETE FROM {table} WHERE id NOT IN (SELECT {table}_id FROM attempt)"
                )
        return removed

    def _merge_run(self, run: RunFacts, theirs: History) -> None:
        self.connection.execute(_ENTER_RUN, astuple(run))
        (number,) = self.connection.execute("SELECT id FROM run WHERE key=?", (run.key,)).fetchone()
        self._insert(number, theirs.attempts(run.key))

    def _insert(self, run: int, attempts: Iterable[Attempt]) -> None:
        execute = self.connection.execute
        for one in attempts:
            bench = astuple(one.bench)
            execute("INSERT OR IGNORE INTO test(nodeid) VALUES(?)", (one.nodeid,))
            execute("INSERT OR IGNORE INTO bench(board, firmware, place, simulated) VALUES(?,?,?,?)", bench)
            execute(
                "INSERT OR IGNORE INTO attempt SELECT ?, test.id, ?, ?, bench.id, ?, ?, ?, ?, ?, ? "
                "FROM test, bench WHERE nodeid=? AND board=? AND firmware=? AND place=? AND simulated=?",
                (
                    *(run, one.number, one.outcome, one.verdict, one.setup_s, one.call_s, one.teardown_s),
                    *(one.mean_watts, one.message[:_MESSAGE_SIZE], one.nodeid, *bench),
                ),
            )

    def _prepare(self) -> None:
        with self._translated():
            self.connection.execute("PRAGMA foreign_keys=ON")
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._make()
        elif version != VERSION:
            raise HistoryError(
                f"{self.path} is a history of version {version}, this hil knows {VERSION}",
                why="another hil wrote it",
                remedy="use that one's `hil history`, or name another file with --hil-history",
            )

    def _make(self) -> None:
        with self._translated(), _turn(self.path):  # SQLite does not wait for this one by itself
            self.connection.execute("PRAGMA journal_mode=WAL")
        with self._writing():
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            tables = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == VERSION:  # another process was faster
                return
            if tables:
                raise HistoryError(f"{self.path} is another program's database", remedy="name another file")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self.connection.execute(statement)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, while nobody else writes; all of it is written, or nothing."""
        with self._translated(), _turn(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(
                f"the history {self.path} cannot be used",
                why=str(error),
                remedy="see to free space and permissions there, or name another file with --hil-history",
            ) from error


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold the writers' lock, a file beside the database."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with closing(os.fdopen(os.open(path.with_name(f"{path.name}.lock"), flags, 0o666))) as lock:

        def taken() -> bool:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        if not until(taken, _TURN_LIMIT_S):
            raise TimeoutError(f"another process has been writing it for {_TURN_LIMIT_S:.0f} s")
        yield
