"""Problems of whole nights: missing, cut short, a bad exit status, no test ran, too few boards."""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from hil.kernel_lock import is_file_locked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hil.evidence.records import RunRecord
    from hil.history.window import Window

__all__ = [
    "FOLDER_FORMAT",
    "NIGHTLY",
    "day_of",
    "future_runs",
    "missing_nights",
    "problems_of_newest",
    "status_words",
    "why_nothing_ran",
]

NIGHTLY = "nightly"
"""The kind of runs that are expected every night."""

FOLDER_FORMAT: Final = "%Y-%m-%dT%H%M%SZ"
"""The name of a night's folder, which is beside the history: the UTC time, and `-2` for a second one."""

_FOLDER_FIRST_S = 600.0
"""The folder of a night is at most this much older than its run."""

_LATE = 1.5
"""A night is missing if two nights are further apart than this multiple of the usual distance."""

_FEWEST_NIGHTS = 4
_ONE_NIGHT_S = 6 * 3600.0
"""Runs of a host that start closer to each other are of one night."""

_MANY_A_DAY_S = 3600.0
"""Runs closer to each other than this are experiments of a person, after which no run is missing."""

_LONG_AGO_NIGHTS = 31
"""After this many nights without a run, the next one is not expected any more."""

_STATUSES = {
    2: "interrupted, or tests could not be collected",
    3: "an error inside of pytest",
    4: "pytest did not start: a wrong option, conftest.py or lab file",
    5: "no test was found, or none used a board",
    6: "more warnings than --max-warnings allows; in older runs, the bench was not ready",
    16: "the bench was not ready",
}
_FIRST_OF_SIGNALS = 128


def missing_nights(runs: Sequence[RunRecord], now_s: float | None = None) -> list[str]:
    """Return a line for each missing night, between nights that ran and since the last one, for each host.

    Args:
        runs: The runs, oldest first; if any of them is of the kind `nightly`, the others do not count.
        now_s: The present time in seconds since 1970; None for the clock's.
    """
    nightly = [run for run in runs if run.kind == NIGHTLY]
    by_host: dict[str, list[float]] = defaultdict(list)
    for run in nightly or runs:
        by_host[run.host].append(run.began_s)
    now_s = (time.time() if now_s is None else now_s) if nightly else 0.0
    return [
        f"{day_of(night_s)}: no run{f' on {host}' if len(by_host) > 1 else ''}"
        for host, began_s in sorted(by_host.items())
        for night_s in _missing(began_s, now_s)
    ]


def _missing(began_s: list[float], now_s: float) -> list[float]:
    """Return the times at which one host's missing nights should have started."""
    nights = [
        at for at, before in zip(began_s, [-math.inf, *began_s], strict=False) if at - before > _ONE_NIGHT_S
    ]
    nights = nights if len(nights) >= _FEWEST_NIGHTS else began_s  # runs are more frequent than nights
    if len(nights) < _FEWEST_NIGHTS:
        return []
    usual_s = statistics.median(b - a for a, b in pairwise(nights))
    if usual_s < _MANY_A_DAY_S:
        return []
    ends_s = list(pairwise(nights))
    if nights[-1] < now_s < nights[-1] + _LONG_AGO_NIGHTS * usual_s:
        ends_s.append((nights[-1], now_s))
    return [night_s for a, b in ends_s for night_s in _between(a, b, usual_s)]


def problems_of_newest(window: Window) -> list[str]:
    """Return a line for each problem of the newest run as a whole."""
    if not window.runs:
        return []
    newest = window.runs[-1]
    problems = []
    if newest.ended_s is None:
        problems.append(f"the newest run {_cut_short(newest, window.history.path)}")
    used = window.boards_used_last()
    if used < newest.expected_boards:
        problems.append(f"{used} of {newest.expected_boards} boards were used")
    if nothing := why_nothing_ran(window):
        problems.append(nothing)
    if newest.exit_status == 1 and not {"failed", "error"} & window.last_counts.keys():
        problems.append("the newest run failed, although no test did: see what it printed")
    if newest.exit_status in _STATUSES or (newest.exit_status or 0) > _FIRST_OF_SIGNALS:
        problems.append(
            f"the newest run ended with status {newest.exit_status}{status_words(newest.exit_status)}"
        )
    return [f"{day_of(newest.began_s)}: {one}" for one in problems]


def why_nothing_ran(window: Window) -> str:
    """Return that no test of the newest run ran, and why as far as it is known; empty if one ran."""
    counts = window.last_counts
    if not window.runs or not set(counts) <= {"skipped"}:
        return ""
    if counts:
        number = counts["skipped"]
        return f"no test ran, {'the only one was' if number == 1 else f'all {number} were'} skipped"
    newest = window.runs[-1]
    cut = f", it {_cut_short(newest, window.history.path)}" if newest.ended_s is None else ""
    return f"no test ran{cut or status_words(newest.exit_status)}"


def _cut_short(run: RunRecord, history: Path) -> str:
    """Return whether a run without an end was cut short or goes on; for a night its folder's lock tells."""
    if run.kind == NIGHTLY:
        for folder in sorted(history.absolute().parent.glob("*Z*"), reverse=True):
            with suppress(ValueError):  # another folder
                name, _, _ = folder.name.partition("Z")
                began = datetime.strptime(f"{name}Z", FOLDER_FORMAT).replace(tzinfo=UTC)
                if 0 <= run.began_s - began.timestamp() < _FOLDER_FIRST_S:
                    return "goes on" if is_file_locked(folder) else "was cut short"
    return "was cut short, or goes on"


def future_runs(window: Window) -> list[str]:
    """Return a line for each run that a fast clock dated in the future; such runs do not count."""
    return [
        f"{day_of(run.began_s)}: a run is dated in the future, and does not count" for run in window.ahead
    ]


def day_of(time_s: float) -> str:
    """Return the UTC date of a time in seconds since 1970."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")


def _between(a: float, b: float, usual_s: float) -> list[float]:
    """Return the times at which runs should have started between two that did."""
    missing = round((b - a) / usual_s) - 1 if usual_s and b - a > _LATE * usual_s else 0
    return [a + (n + 1) * usual_s for n in range(missing)]


def status_words(status: int | None) -> str:
    """Return the meaning of an exit status after a comma; empty if it says nothing about a whole run."""
    if status is not None and status > _FIRST_OF_SIGNALS:
        return f", killed by signal {status - _FIRST_OF_SIGNALS}"
    return f", {_STATUSES[status]}" if status in _STATUSES else ""
