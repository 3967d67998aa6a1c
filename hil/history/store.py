"""The history: SQLite in one file. Readers never wait; writers take turns by a kernel lock.

Each attempt is written as soon as it is known, so that a killed run leaves all that it found.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hil.errors import HistoryError
from hil.evidence.records import RunRecord
from hil.history.attempts import insert_attempts, select_attempts
from hil.history.schema import (
    MERGE,
    RUN_COLUMNS,
    SCHEMA,
    UPGRADES,
    UPSERT_RUN,
    VERSION,
    WRONG_ROWS,
    find_foreign,
)
from hil.history.sqlite import (
    connect,
    connect_read_only,
    copy_database,
    has_unfinished_writes,
    is_damage,
    is_interrupt,
    is_read_only,
    is_too_long,
    writers_lock,
)
from hil.regular_file import check_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from hil.evidence.records import RecordedTest

__all__ = ["History", "merge_history"]


class History:
    """An open history; a `with` block closes it.

    Args:
        path: The file; it and its folder are created if they are missing.
        to_read: Nothing will be written, so a read-only file will do, such as another user's.
        copy_of: The original of a copy, named in errors.

    Attributes:
        path: The file.
        connection: The open database.

    Raises:
        HistoryError: The file cannot be opened, is no history, or is a history of a newer version.
    """

    def __init__(self, path: Path, *, to_read: bool = False, copy_of: Path | None = None) -> None:
        self.path = path
        self._label = copy_of or path
        with self.translating_errors():
            if has_unfinished_writes(path):
                check_regular(path)
                with closing(connect_read_only(path)) as unchanged:
                    self._check(unchanged)  # another program's database stays as it is
            self.connection = connect_read_only(path) if to_read and is_read_only(path) else connect(path)
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
        """Close the database."""
        self.connection.close()

    def begin_run(self, run: RunRecord) -> None:
        """Insert a run, or update it with what is new.

        Raises:
            HistoryError: The history cannot be written: the disk is full, or another writer does not end.
        """
        with self.writing():
            self.connection.execute(UPSERT_RUN, _row(run))

    end_run = begin_run

    def close_run(self, key: str, ended_s: float, exit_status: int) -> None:
        """Store the exit status that the starting process saw; keep an end time that is stored already.

        Raises:
            HistoryError: As `begin_run`.
        """
        with self.writing():
            self.connection.execute(
                "UPDATE run SET ended_s=coalesce(ended_s, ?), exit_status=? WHERE key=?",
                (ended_s, exit_status, key),
            )

    def add(self, key: str, tests: Iterable[RecordedTest]) -> None:
        """Insert the attempts of tests of the run `key`; an attempt that is stored already stays as it is.

        Raises:
            HistoryError: As `begin_run`; then none of them was inserted.
        """
        with self.writing():
            row = self.connection.execute("SELECT id FROM run WHERE key=?", (key,)).fetchone()
            if row is None:
                raise HistoryError(
                    f"the run {key} is not in {self.path}",
                    why="it was removed while it was running",
                    remedy="let retention keep more nights than one",
                )
            insert_attempts(self.connection, row[0], tests)

    def read(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        """Return all rows of a query.

        Raises:
            HistoryError: The file is damaged, or cannot be read now.
        """
        with self.translating_errors():
            return self.connection.execute(sql, tuple(values)).fetchall()

    def runs(self, newest: int | None = None) -> list[RunRecord]:
        """Return the newest runs, or all if `newest` is None, oldest first."""
        rows = self.read(
            f"SELECT {RUN_COLUMNS} FROM run ORDER BY began_s DESC LIMIT ?",
            (-1 if newest is None else newest,),
        )
        return [RunRecord(*row) for row in reversed(rows)]

    def attempts(self, key: str) -> list[RecordedTest]:
        """Return each attempt of a run, as a test with that attempt."""
        return select_attempts(self.read, key)

    def delete_before(self, time_s: float) -> int:
        """Delete the runs that began before a time, in seconds since 1970, and return how many.

        Raises:
            HistoryError: As `begin_run`.
        """
        with self.writing():
            removed = self.connection.execute("DELETE FROM run WHERE began_s < ?", (time_s,)).rowcount
            self.connection.execute("DELETE FROM measure WHERE id NOT IN (SELECT measure_id FROM number)")
            for table in ("test", "bench"):
                self.connection.execute(
                    f"DELETE FROM {table} WHERE id NOT IN (SELECT {table}_id FROM attempt) "
                    f"AND id NOT IN (SELECT {table}_id FROM partner)"
                )
        return removed

    def _prepare(self) -> None:
        with self.translating_errors():
            self.connection.execute("PRAGMA foreign_keys=ON")
            version = self._check(self.connection)
        if version == 0:
            self._make()
        elif version in UPGRADES:
            self._upgrade()

    def _check(self, connection: sqlite3.Connection) -> int:
        """Return the version of a history; raises HistoryError if hil did not create all of it."""
        connection.execute("BEGIN")  # another process may be upgrading it
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        is_known = version in {0, VERSION} or version in UPGRADES
        foreign = find_foreign(connection, version) if is_known else ""
        connection.execute("COMMIT")
        if foreign:
            raise HistoryError(
                f"{self._label} is no history of hil",
                why=f"its {foreign} is not one that hil creates",
                remedy="ask where the file comes from, or name another one",
            )
        if not is_known:
            raise HistoryError(
                f"{self._label} is a history of version {version}, this hil knows {VERSION}",
                why="another hil wrote it",
                remedy="use the other hil's `hil history`, or name another file with --hil-history",
            )
        return int(version)

    def _upgrade(self) -> None:
        """Upgrade a history that an older hil wrote."""
        self.connection.execute("PRAGMA foreign_keys=OFF")  # other tables refer to one that is replaced
        with self.writing():
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            while version in UPGRADES:
                for statement in UPGRADES[version]:
                    self.connection.execute(statement)
                (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        self.connection.execute("PRAGMA foreign_keys=ON")

    def _make(self) -> None:
        # To change the journal mode, SQLite does not wait for other processes; the lock does.
        with self.translating_errors(), writers_lock(self.path):
            self.connection.execute("PRAGMA journal_mode=WAL")
        with self.writing():
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            tables = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == VERSION:  # another process was faster
                return
            if tables:  # another program made them since `_prepare` looked
                raise HistoryError(f"{self.path} is another program's database", remedy="name another file")
            for statement in SCHEMA:
                self.connection.execute(statement)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run the block as one transaction under the writers' lock: all of it is written, or nothing."""
        with self.translating_errors(), writers_lock(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have rolled it back already
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        """Raise the errors of SQLite and of the file system as HistoryError, Ctrl-C as KeyboardInterrupt."""
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            if is_interrupt(error):
                raise KeyboardInterrupt from error
            if is_too_long(error):
                raise HistoryError(
                    f"the history {self._label} cannot be used",
                    why="it has a value that is longer than any that hil writes",
                    remedy="ask where the file comes from, or name another one",
                ) from error
            if is_damage(error):
                raise HistoryError(
                    f"the history {self.path} cannot be used",
                    why=f"it is damaged: {error}",
                    remedy="rename it to start a new one, as the next night does automatically",
                ) from error
            raise HistoryError(
                f"the history {self.path} cannot be used",
                why=str(error),
                remedy="check free space and permissions there, or name another file with --hil-history",
            ) from error


_row = attrgetter(*[one.name for one in fields(RunRecord)][: RUN_COLUMNS.count(",") + 1])
"""Returns the row of a run."""

_COUNT_RUNS = "SELECT count(*) FROM run"


def merge_history(history: History, other: Path) -> int:
    """Add every run of another history that is missing here, and return how many there were.

    Merging the same file again changes nothing, except that runs that went on since are completed. The other
    file stays as it is.

    Raises:
        HistoryError: The other file is no history, or this one cannot be written: nothing was merged.
    """
    if not other.exists():
        raise HistoryError(f"{other} does not exist", remedy="give the path of another history")
    with tempfile.TemporaryDirectory(prefix="hil-merge-") as folder:
        copied = Path(folder) / "theirs.db"
        copy_database(other, copied)
        History(copied, copy_of=other).close()  # upgrades an old history, refuses any other database
        return _merge_copy(history, copied, other)


def _merge_copy(history: History, copied: Path, other: Path) -> int:
    execute = history.connection.execute
    with history.translating_errors():
        execute("ATTACH ? AS theirs", (str(copied),))
    try:
        with history.writing():
            for table, is_wrong in WRONG_ROWS.items():
                if execute(f"SELECT 1 FROM theirs.{table} WHERE {is_wrong} LIMIT 1").fetchone():
                    raise HistoryError(
                        f"the history {other} cannot be merged",
                        why=f"its table {table} has values that hil never writes",
                        remedy="ask where it comes from",
                    )
            (before,) = execute(_COUNT_RUNS).fetchone()
            for statement in MERGE:
                execute(statement)
            (after,) = execute(_COUNT_RUNS).fetchone()
    finally:
        execute("DETACH theirs")
    return int(after - before)
