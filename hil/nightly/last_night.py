"""Describe the last night: its result, and whether a later night should have started."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil.errors import HistoryError
from hil.evidence.records import RunRecord
from hil.history.nights import NIGHTLY
from hil.history.sqlite import list_damaged
from hil.history.store import History
from hil.history.window import Window
from hil.kernel_lock import is_file_locked
from hil.nightly.run_folder import LATE, explain_status, mark_simulated, newest_record

__all__ = ["describe_last_night"]

_DAY_S = 86_400.0
_BEGINS_WITHIN_S = 900.0
"""Seconds after its due time within which a night may still start: timers are inexact, hosts may be slow."""

_EARLY_S = 120.0
_ROOM_S = 3600.0
"""Without a timer: seconds by which a night may start later in the day than the previous one."""

_CUT_SHORT = 1


def describe_last_night(
    parent: Path, now_s: float | None = None, due_s: float | None = None
) -> tuple[dict[str, Any], int]:
    """Return facts about the last night that ended, one that runs now, and an exit status.

    Args:
        parent: The folder of the nights and their history.
        now_s: The present time in seconds since 1970; None for the clock's.
        due_s: Time at which the last night was due by the installed timer; None if no timer is installed.

    Raises:
        HistoryError: The history cannot be read, and no night has a readable record.
    """
    now_s = time.time() if now_s is None else now_s
    told, nights = _nights(parent, now_s)
    if not nights:
        return told | {"last_night": "none", "meaning": f"red: no night has run in {parent}"}, LATE
    last = newest = nights[-1]
    record = newest_record(parent, now_s)
    if record is not None and not record.ended and is_file_locked(Path(record.folder)):
        told["running"] = f"a night has been running since {_utc(newest.began_s)}"
        if not nights[:-1]:
            return told | {"last_night": "none", "meaning": "no night has ended yet"}, LATE
        last = nights[-2]
        record = newest_record(parent, now_s, but=record.folder)
    told = {"last_night": _utc(last.began_s), "status": last.exit_status, "meaning": _meaning(last)} | told
    told |= {"folder": record.folder} if record else {}
    if record is not None and record.simulated:
        told["meaning"] = mark_simulated(told["meaning"])
    late = _late(newest, now_s, due_s)
    if late:
        return told | {"late": late}, LATE
    return told, _CUT_SHORT if last.exit_status is None else last.exit_status


def _late(last: RunRecord, now_s: float, due_s: float | None) -> str:
    """Return a sentence about the night that did not start; empty if none is missing."""
    if due_s is not None:
        if now_s > due_s + _BEGINS_WITHIN_S and last.began_s < due_s - _EARLY_S:
            return f"red: the night that was due at {_utc(due_s)} did not begin"
        return ""
    length_s = max((last.ended_s or last.began_s) - last.began_s, 0.0)
    if now_s > last.began_s + _DAY_S + length_s + _ROOM_S:
        return f"red: no night has run for {(now_s - last.began_s) / _DAY_S:.1f} days"
    return ""


def _nights(parent: Path, now_s: float) -> tuple[dict[str, Any], list[RunRecord]]:
    """Return facts about the history, and the last night and, if any, the one before it, oldest first."""
    path = parent / "history.db"
    told: dict[str, Any] = {}
    if aside := list_damaged(path):
        told["damaged"] = f"an older history was damaged; it was renamed to {aside[-1]}"
    if not path.is_file():
        return told, []
    try:
        with History(path, to_read=True) as history:
            window = Window(history, 2, NIGHTLY, now_s=now_s)
            runs, ahead = window.runs, window.ahead
    except HistoryError as error:
        run = _recorded(parent, now_s)
        if run is None:
            raise
        return told | {"history": str(error)}, [run]
    if ahead:
        told["ahead"] = [
            f"a run is dated {_utc(one.began_s)}, in the future: it does not count" for one in ahead
        ]
    return told, runs[-2:]


def _recorded(parent: Path, now_s: float) -> RunRecord | None:
    """Return the last night by the record in its folder, or None if there is none."""
    record = newest_record(parent, now_s)
    if record is None:
        return None
    began_s = datetime.fromisoformat(record.began).timestamp()
    ended_s = datetime.fromisoformat(record.ended).timestamp() if record.ended else None
    return RunRecord(record.folder, began_s, kind=NIGHTLY, ended_s=ended_s, exit_status=record.status)


def _utc(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")


def _meaning(run: RunRecord) -> str:
    return "red: it was cut short" if run.exit_status is None else explain_status(run.exit_status)
