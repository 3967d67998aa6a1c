"""Merge the history of another host into this one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hil.errors import HistoryError
from hil.history.schema import MERGE, WRONG_ROWS
from hil.history.sqlite import copy_database
from hil.history.store import History

__all__ = ["merge_history"]

_COUNT = "SELECT count(*) FROM run"


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
            (before,) = execute(_COUNT).fetchone()
            for statement in MERGE:
                execute(statement)
            (after,) = execute(_COUNT).fetchone()
    finally:
        execute("DETACH theirs")
    return int(after - before)
