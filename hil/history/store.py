"""The database: SQLite in one file, readers never wait, one writer at a time by a kernel lock of its own.

Each attempt is written when it is known, so that a run that is killed leaves all that it found.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hil.dutlink.timing import until
from hil.errors import HistoryError
from hil.history.damage import is_damage
from hil.history.models import Attempt, Bench, Outcome, RunFacts
from hil.history.schema import (
    ENTER_RUN,
    MESSAGE_SIZE,
    RUN_COLUMNS,
    SCHEMA,
    TAKE_IN,
    UPGRADES,
    VERSION,
    WRONG_ROWS,
    foreign_in,
)
from hil.history.sqlite import (
    connect,
    connect_to_read,
    copy_whole,
    is_interrupt,
    is_too_long,
    may_only_be_read,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

__all__ = ["History"]

_TURN_LIMIT_S = 30.0


class History:
    """A history; a `with` block closes it.

    Args:
        path: The file; it and its folder are made where they are missing.
        to_read: Nothing will be entered: then a file that may only be read will do, such as another user's.
        copy_of: The file of which it is a copy, for errors.

    Raises:
        HistoryError: It cannot be opened, is no history, or is one of a newer version.
    """

    def __init__(self, path: Path, *, to_read: bool = False, copy_of: Path | None = None) -> None:
        self.path = path
        self._told = copy_of or path
        with self._translated():
            self.connection = connect_to_read(path) if to_read and may_only_be_read(path) else connect(path)
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
            self.connection.execute(ENTER_RUN, astuple(run))

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

    def read(self, sql: str, values: Iterable[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # SQLite's
        """Return all rows that a question gives.

        Raises:
            HistoryError: The file is damaged, or cannot be read now.
        """
        with self._translated():
            return self.connection.execute(sql, tuple(values)).fetchall()

    def runs(self, newest: int | None = None) -> list[RunFacts]:
        """Return the newest runs, or all, oldest first."""
        rows = self.read(
            f"SELECT {RUN_COLUMNS} FROM run ORDER BY began_s DESC LIMIT ?",
            (-1 if newest is None else newest,),
        )
        return [RunFacts(*row) for row in reversed(rows)]

    def attempts(self, key: str) -> list[Attempt]:
        """Return the attempts of a run."""
        rows = self.read(
            "SELECT nodeid, outcome, number, board, firmware, place, simulated, bench.image, verdict, "
            f"setup_s, call_s, teardown_s, mean_watts, substr(message, 1, {MESSAGE_SIZE}) "
            "FROM attempt JOIN run ON run.id=run_id "
            "JOIN test ON test.id=test_id JOIN bench ON bench.id=bench_id "
            "WHERE key=? ORDER BY nodeid, number",
            (key,),
        )
        return [
            Attempt(
                nodeid, Outcome(outcome), number, Bench(board, firmware, place, bool(simulated), image), *rest
            )
            for nodeid, outcome, number, board, firmware, place, simulated, image, *rest in rows
        ]

    def merge(self, other: Path) -> int:
        """Take in every run of another host's history that is not here yet; returns how many there were.

        Merging the same file again changes nothing, except that runs that went on since are completed. The
        other file stays as it is.

        Raises:
            HistoryError: The other file is no history, or this one cannot be written: nothing was merged.
        """
        if not other.exists():
            raise HistoryError(f"{other} is not there", remedy="give the path of another history")
        with tempfile.TemporaryDirectory(prefix="hil-merge-") as folder:
            copied = Path(folder) / "theirs.db"
            copy_whole(other, copied)
            History(
                copied, copy_of=other
            ).close()  # an old one is brought up to date; what is none is refused
            return self._take_in(copied, other)

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

    def _take_in(self, theirs: Path, other: Path) -> int:
        count = "SELECT count(*) FROM run"
        with self._translated():
            self.connection.execute("ATTACH ? AS theirs", (str(theirs),))
        try:
            with self._writing():
                for table, is_wrong in WRONG_ROWS.items():
                    if self.connection.execute(
                        f"SELECT 1 FROM theirs.{table} WHERE {is_wrong} LIMIT 1"
                    ).fetchone():
                        raise _foreign(other, table)
                (before,) = self.connection.execute(count).fetchone()
                for statement in TAKE_IN:
                    self.connection.execute(statement)
                (after,) = self.connection.execute(count).fetchone()
        finally:
            self.connection.execute("DETACH theirs")
        return int(after - before)

    def _insert(self, run: int, attempts: Iterable[Attempt]) -> None:
        execute = self.connection.execute
        for one in attempts:
            bench = astuple(one.bench)
            execute("INSERT OR IGNORE INTO test(nodeid) VALUES(?)", (one.nodeid,))
            execute(
                "INSERT OR IGNORE INTO bench(board, firmware, place, simulated, image) VALUES(?,?,?,?,?)",
                bench,
            )
            execute(
                "INSERT OR IGNORE INTO attempt SELECT ?, test.id, ?, ?, bench.id, ?, ?, ?, ?, ?, ? "
                "FROM test, bench "
                "WHERE nodeid=? AND board=? AND firmware=? AND place=? AND simulated=? AND image=?",
                (
                    *(run, one.number, one.outcome, one.verdict, one.setup_s, one.call_s, one.teardown_s),
                    *(one.mean_watts, one.message[:MESSAGE_SIZE], one.nodeid, *bench),
                ),
            )

    def _prepare(self) -> None:
        with self._translated():
            self.connection.execute("PRAGMA foreign_keys=ON")
            self.connection.execute("BEGIN")  # another process may upgrade it now
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            is_known = version == VERSION or version in UPGRADES
            foreign = foreign_in(self.connection, version) if is_known else ""
            self.connection.execute("COMMIT")
        if foreign:
            raise HistoryError(
                f"{self._told} is no history of hil",
                why=f"its {foreign} is not as hil makes it",
                remedy="ask where the file comes from, or name another one",
            )
        if version == 0:
            self._make()
        elif version in UPGRADES:
            self._upgrade()
        elif version != VERSION:
            raise HistoryError(
                f"{self._told} is a history of version {version}, this hil knows {VERSION}",
                why="another hil wrote it",
                remedy="use that one's `hil history`, or name another file with --hil-history",
            )

    def _upgrade(self) -> None:
        """Bring a history that an older hil wrote up to date."""
        self.connection.execute("PRAGMA foreign_keys=OFF")  # a table is replaced that others refer to
        with self._writing():
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            while version in UPGRADES:
                for statement in UPGRADES[version]:
                    self.connection.execute(statement)
                (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        self.connection.execute("PRAGMA foreign_keys=ON")

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
            for statement in SCHEMA:
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
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            if is_interrupt(error):
                raise KeyboardInterrupt from error
            if is_too_long(error):
                raise HistoryError(
                    f"the history {self._told} cannot be used",
                    why="it has a value that is longer than any that hil writes",
                    remedy="ask where the file comes from, or name another one",
                ) from error
            if is_damage(error):
                raise HistoryError(
                    f"the history {self.path} cannot be used",
                    why=f"it is damaged: {error}",
                    remedy="rename it to begin a new one, as the next night does by itself",
                ) from error
            raise HistoryError(
                f"the history {self.path} cannot be used",
                why=str(error),
                remedy="see to free space and permissions there, or name another file with --hil-history",
            ) from error


def _foreign(path: Path, table: str) -> HistoryError:
    return HistoryError(
        f"the history {path} is not taken in",
        why=f"its table {table} has values that no hil writes",
        remedy="ask where it comes from",
    )


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
