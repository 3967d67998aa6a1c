"""Whether last night's run is the one that should be there."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hil.history.nights import NIGHTLY
from hil.history.store import History
from hil.history.window import Window
from hil.nightly.folder import newest_record
from hil.nightly.meaning import LATE, meaning_of

if TYPE_CHECKING:
    from pathlib import Path

    from hil.history.facts import RunFacts

__all__ = ["look_back"]

_LATE_S = 1.5 * 86_400.0
"""Without a run for so long, a night is missing."""

_CUT_SHORT = 1


def look_back(parent: Path, now_s: float | None = None) -> tuple[dict[str, Any], int]:
    """Return what is to be said of the last night, and an exit status.

    Args:
        parent: Where the nights and their history are kept.
        now_s: Seconds since 1970; None: now.

    Raises:
        HistoryError: The history cannot be read.
    """
    last = _last(parent / "history.db")
    if last is None:
        return {"last_night": "none", "meaning": f"red: no night has run in {parent}"}, LATE
    now_s = time.time() if now_s is None else now_s
    began = datetime.fromtimestamp(last.began_s, UTC).isoformat(timespec="seconds")
    told: dict[str, Any] = {"last_night": began, "status": last.exit_status, "meaning": _meaning(last)}
    record = newest_record(parent)
    told |= {"folder": record.folder} if record else {}
    if now_s - last.began_s > _LATE_S:
        days = (now_s - last.began_s) / 86_400
        return told | {"late": f"red: no night has run for {days:.1f} days"}, LATE
    return told, _CUT_SHORT if last.exit_status is None else last.exit_status


def _last(path: Path) -> RunFacts | None:
    if not path.is_file():
        return None
    with History(path, to_read=True) as history:
        runs = Window(history, 1, NIGHTLY).runs
    return runs[-1] if runs else None


def _meaning(run: RunFacts) -> str:
    return "red: it was cut short, or still runs" if run.exit_status is None else meaning_of(run.exit_status)
