"""Connect SQLite to a history: to write it, to read a read-only one, to copy it; and tell a damaged one."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hil.dutlink.timing import until
from hil.errors import HistoryError
from hil.regular_file import check_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "connect",
    "connect_read_only",
    "copy_database",
    "find_damage",
    "has_unfinished_writes",
    "is_damage",
    "is_interrupt",
    "is_read_only",
    "is_too_long",
    "list_damaged",
    "rename_damaged",
    "writers_lock",
]

_BUSY_MS = 30_000
_LOCK_LIMIT_S = 30.0
_LONGEST_BYTES = 1_000_000
"""The longest value that SQLite reads: hil writes no longer one, and a hostile file takes no memory."""

_STEPS = 1_000_000
"""Steps of SQLite's virtual machine between two checks for signals: some milliseconds."""


class _Connection(sqlite3.Connection):
    r"""A connection that stores any text.

    A file's name or an environment variable that is not UTF-8 has lone surrogates in Python, and SQLite takes
    none: they are stored as `\udcff`.
    """

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 - as SQLite's stubs want it
        """Run one statement; its values are in the order of its question marks."""
        return super().execute(sql, tuple(_storable(value) for value in values))


def _storable(value: object) -> Any:  # noqa: ANN401 - as SQLite's stubs want it
    if isinstance(value, str) and not value.isascii():
        return value.encode(errors="backslashreplace").decode()
    return value


def connect(path: Path) -> sqlite3.Connection:
    """Connect to a file; it and its folder are created if they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    check_regular(path)
    return _limited(sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None, factory=_Connection))


def _limited(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Let signals end a query, and limit the memory that a foreign file takes."""
    connection.set_progress_handler(_run_signal_handlers, _STEPS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_BYTES)
    return connection


def _run_signal_handlers() -> int:
    """Do nothing: Python runs pending signal handlers when it enters this function.

    SQLite interrupts the query if one of them raises; see `is_interrupt`.
    """
    return 0


def is_interrupt(error: BaseException) -> bool:
    """Return True if an error says that a signal such as Ctrl-C ended a query."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT


def is_too_long(error: BaseException) -> bool:
    """Return True if an error says that a value is longer than any that hil writes."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG


def is_read_only(path: Path) -> bool:
    """Return True if SQLite cannot write the file, or cannot create the files that it needs beside it."""
    return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect to a file beside which SQLite cannot create files: https://sqlite.org/wal.html#readonly.

    While another process writes it, that process's files beside it are used; otherwise it is read as a file
    that never changes.
    """
    for how in ("mode=ro", "immutable=1"):
        connection = _connect_uri(path, how)
        try:
            connection.execute("PRAGMA user_version")
        except sqlite3.OperationalError:
            connection.close()
            if how == "immutable=1":
                raise
        else:
            break
    return connection


def has_unfinished_writes(path: Path) -> bool:
    """Return True if a program writes the database now, or was killed while it wrote it.

    Then an ordinary connection changes the file even if it only reads: the first one rolls a journal back,
    and the last one copies the write-ahead log into the database. A read-only connection does neither.
    """
    for ending in ("-wal", "-journal"):
        with suppress(FileNotFoundError):
            if path.with_name(f"{path.name}{ending}").stat().st_size:
                return True
    return False


def _connect_uri(path: Path, how: str) -> sqlite3.Connection:
    return _limited(
        sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, factory=_Connection
        )
    )


def copy_database(history: Path, copied: Path) -> None:
    """Copy a history, also while another process writes it; raises HistoryError."""
    try:
        check_regular(history)
        source = sqlite3.connect(f"{history.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_MS / 1000)
        with closing(source), closing(sqlite3.connect(copied)) as target:
            source.backup(target)
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise HistoryError(
            f"the history {history} cannot be read", why=str(error), remedy="give the path of a history"
        ) from error


@contextmanager
def writers_lock(path: Path) -> Iterator[None]:
    """Hold the lock that all writers of a history take, a file beside it; raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with closing(os.fdopen(os.open(path.with_name(f"{path.name}.lock"), flags, 0o666))) as lock:

        def taken() -> bool:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        if not until(taken, _LOCK_LIMIT_S):
            raise TimeoutError(f"another process has been writing it for {_LOCK_LIMIT_S:.0f} s")
        yield


_PRIMARY = 0xFF
_MARK = ".damaged-"
_FILES = ("", "-wal", "-shm", "-journal")


def is_damage(error: BaseException) -> bool:
    """Return True if an error of SQLite says that the file is damaged, or no database at all."""
    if isinstance(error, UnicodeDecodeError):  # Python cannot decode SQLite's message about a garbled table
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def find_damage(path: Path) -> str:
    """Return SQLite's description of a history's damage; empty if it is sound, or cannot be read now."""
    if not path.is_file():
        return ""
    try:
        check_regular(path)
        unchanged = has_unfinished_writes(path)
        with closing(_connect_uri(path, "mode=ro") if unchanged else connect(path)) as connection:
            (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        return str(error) if is_damage(error) else ""
    return "" if result == "ok" else str(result)


def rename_damaged(path: Path) -> Path:
    """Rename a history and its side files, so that a new one can be started; return its new path.

    Raises:
        OSError: The folder may not be written.
    """
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    kept = path.with_name(f"{path.stem}{_MARK}{when}{path.suffix}")
    for ending in _FILES:
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}{ending}").rename(kept.with_name(f"{kept.name}{ending}"))
    return kept


def list_damaged(path: Path) -> list[Path]:
    """Return the damaged histories that were renamed, oldest first."""
    found = path.parent.glob(f"{path.stem}{_MARK}*{path.suffix}") if path.parent.is_dir() else ()
    return sorted(found)
