"""Look back at the last night: how it went, and whether a later one should have begun."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hil.errors import HistoryError
from hil.history.damage import list_damaged
from hil.history.models import RunFacts
from hil.history.nights import NIGHTLY
from hil.history.store import History
from hil.history.window import Window
from hil.nightly.exit_status import LATE, explain_status, mark_simulated
from hil.nightly.run_folder import newest_record

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["describe_last_night"]

_DAY_S = 86_400.0
_BEGINS_WITHIN_S = 900.0
"""Seconds after its due time in which a night may still begin: a timer has some room, a host may be slow."""

_EARLY_S = 120.0
_ROOM_S = 3600.0
"""Without a timer: seconds by which a night may begin later in the day than the one before."""

_CUT_SHORT = 1


def describe_last_night(
    parent: Path, now_s: float | None = None, due_s: float | None = None
) -> tuple[dict[str, Any], int]:
    """Return what is to be said of the last night, and an exit status.

    Args:
        parent: Where the nights and their history are kept.
        now_s: Seconds since 1970; None: now.
        due_s: When the last night was due by the timer that is installed; None if there is none.

    Raises:
        HistoryError: The history cannot be read, and no night's own record tells how it went.
    """
    now_s = time.time() if now_s is None else now_s
    told, last = _last(parent, now_s)
    if last is None:
        return told | {"last_night": "none", "meaning": f"red: no night has run in {parent}"}, LATE
    told = {"last_night": _utc(last.began_s), "status": last.exit_status, "meaning": _meaning(last)} | told
    record = newest_record(parent, now_s)
    told |= {"folder": record.folder} if record else {}
    if record is not None and record.simulated:
        told["meaning"] = mark_simulated(told["meaning"])
    late = _late(last, now_s, due_s)
    if late:
        return told | {"late": late}, LATE
    return told, _CUT_SHORT if last.exit_status is None else last.exit_status


def _late(last: RunFacts, now_s: float, due_s: float | None) -> str:
    """Say which night did not begin; empty if none is missing."""
    if due_s is not None:
        if now_s > due_s + _BEGINS_WITHIN_S and last.began_s < due_s - _EARLY_S:
            return f"red: the night that was due at {_utc(due_s)} did not begin"
        return ""
    length_s = max((last.ended_s or last.began_s) - last.began_s, 0.0)
    if now_s > last.began_s + _DAY_S + length_s + _ROOM_S:
        return f"red: no night has run for {(now_s - last.began_s) / _DAY_S:.1f} days"
    return ""


def _last(parent: Path, now_s: float) -> tuple[dict[str, Any], RunFacts | None]:
    """Return what is to be said of the history, and the last night."""
    path = parent / "history.db"
    told: dict[str, Any] = {}
    if aside := list_damaged(path):
        told["damaged"] = f"an older history was damaged; it is kept in {aside[-1]}"
    if not path.is_file():
        return told, None
    try:
        with History(path, to_read=True) as history:
            window = Window(history, 1, NIGHTLY, now_s=now_s)
            runs, ahead = window.runs, window.ahead
    except HistoryError as error:
        run = _recorded(parent, now_s)
        if run is None:
            raise
        return told | {"history": str(error)}, run
    if ahead:
        told["ahead"] = [
            f"a run is dated {_utc(one.began_s)}, in the future: it does not count" for one in ahead
        ]
    return told, runs[-1] if runs else None


def _recorded(parent: Path, now_s: float) -> RunFacts | None:
    """Return the last night as its own record has it."""
    record = newest_record(parent, now_s)
    if record is None:
        return None
    began_s = datetime.fromisoformat(record.began).timestamp()
    ended_s = datetime.fromisoformat(record.ended).timestamp() if record.ended else None
    return RunFacts(record.folder, began_s, kind=NIGHTLY, ended_s=ended_s, exit_status=record.status)


def _utc(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")


def _meaning(run: RunFacts) -> str:
    return (
        "red: it was cut short, or still runs" if run.exit_status is None else explain_status(run.exit_status)
    )
