"""How SQLite gets at a history: to write it, to read what may not be written, to copy it whole."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from hil.errors import HistoryError
from hil.regular_file import check_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["connect", "connect_to_read", "copy_whole", "is_interrupt", "is_too_long", "may_only_be_read"]

_BUSY_MS = 30_000
_LONGEST_BYTES = 1_000_000
"""No hil writes a longer value; SQLite reads none, so that a hostile file takes no memory."""

_STEPS = 1_000_000
"""Of SQLite's virtual machine between two looks for signals: some milliseconds."""


def connect(path: Path) -> sqlite3.Connection:
    """Connect to a file; it and its folder are made where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    check_regular(path)
    return _limited(sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None))


def _limited(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Let signals end a query, and values of a foreign file take little memory."""
    connection.set_progress_handler(_run_signal_handlers, _STEPS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_BYTES)
    return connection


def _run_signal_handlers() -> int:
    """Do nothing: Python runs the handlers of signals that came as it enters this function.

    SQLite interrupts the query if one of them raises; see `is_interrupt`.
    """
    return 0


def is_interrupt(error: BaseException) -> bool:
    """Return True if a signal ended a query: Ctrl-C, as SQLite says it."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT


def is_too_long(error: BaseException) -> bool:
    """Return True if a value was not read because it is longer than any that hil writes."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG


def may_only_be_read(path: Path) -> bool:
    """Whether SQLite cannot write there, nor make the files that it keeps beside it while it is used."""
    return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Connect to a file where SQLite can make nothing beside it: https://sqlite.org/wal.html#readonly.

    While somebody writes it there are files beside it to go by; else it is as whole as if it never changed.
    """
    for how in ("mode=ro", "immutable=1"):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
        _limited(connection)
        try:
            connection.execute("PRAGMA user_version")
        except sqlite3.OperationalError:
            connection.close()
            if how == "immutable=1":
                raise
        else:
            break
    return connection


def copy_whole(history: Path, copied: Path) -> None:
    """Copy another history whole, also while somebody writes it."""
    try:
        check_regular(history)
        source = sqlite3.connect(f"{history.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_MS / 1000)
        with closing(source), closing(sqlite3.connect(copied)) as target:
            source.backup(target)
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise HistoryError(
            f"the history {history} cannot be read", why=str(error), remedy="give the path of a history"
        ) from error
