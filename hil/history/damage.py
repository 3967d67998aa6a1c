"""Detect a damaged history, as opposed to one that cannot be read now, and rename it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hil.history.sqlite import connect

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["find_damage", "is_damage", "list_damaged", "rename_damaged"]

_PRIMARY = 0xFF
_MARK = ".damaged-"
_FILES = ("", "-wal", "-shm")


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
        with closing(connect(path)) as connection:
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
