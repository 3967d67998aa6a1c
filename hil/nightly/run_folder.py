"""The folder of a night, named by its UTC time and never overwritten; and what its record says."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter

from hil.nightly.exit_status import mark_simulated
from hil.regular_file import read_regular

__all__ = ["NightRecord", "delete_old_folders", "new_folder", "newest_record"]

_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?")
_FORMAT = "%Y-%m-%dT%H%M%SZ"
_AHEAD = timedelta(hours=1)
_RECORD = "night.json"
_NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class NightRecord:
    """How a night went, as `night.json` has it.

    Attributes:
        began: UTC, ISO 8601.
        ended: The same; empty while it runs, or when it was killed.
        status: Its exit status; None as above.
        meaning: The status in words.
        command: What was run.
        folder: Where it is kept.
        simulated: Which simulated boards it ran on; empty: on none of these.
    """

    began: str
    ended: str = ""
    status: int | None = None
    meaning: str = "it was cut short, or still runs"
    command: tuple[str, ...] = ()
    folder: str = ""
    simulated: str = ""

    @property
    def told(self) -> str:
        """The meaning as people read it; it begins with `SIMULATED` if its boards were."""
        return mark_simulated(self.meaning) if self.simulated else self.meaning

    def write(self) -> None:
        """Write it into its folder: all of it or nothing."""
        path = Path(self.folder) / _RECORD
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        draft.replace(path)


def new_folder(parent: Path) -> Path:
    """Make a folder of its own under `parent`; `newest` beside it leads there.

    A second one of the same second gets a number.
    """
    name = datetime.now(UTC).strftime(_FORMAT)
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()  # atomic: of two runs that try the same name one fails
            _point_to(folder)
            return folder
    raise AssertionError  # pragma: no cover  # count() does not end


def newest_record(parent: Path, now_s: float | None = None) -> NightRecord | None:
    """Return the record of the newest night that has one; None if there is none, or none can be read."""
    for folder in reversed(_nights(parent, now_s)):
        with contextlib.suppress(OSError, ValueError, RecursionError):
            record = TypeAdapter(NightRecord).validate_json(read_regular(folder / _RECORD))
            for moment in filter(None, (record.began, record.ended)):
                datetime.fromisoformat(moment)
            return replace(record, folder=str(folder))
    return None


def delete_old_folders(parent: Path, keep: int) -> list[Path]:
    """Remove the oldest nights' folders but `keep`, and return which.

    What is no night's folder stays, and so does one that is dated in the future.
    """
    old = _nights(parent)[: -keep or None]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return old


def _nights(parent: Path, now_s: float | None = None) -> list[Path]:
    """Return the nights' folders, oldest first, but for those of a clock that was ahead."""
    if not parent.is_dir():
        return []
    latest = datetime.fromtimestamp(time.time() if now_s is None else now_s, UTC) + _AHEAD
    last = latest.strftime(_FORMAT)
    found = [one for one in parent.iterdir() if _NAME.fullmatch(one.name) and one.is_dir()]
    found = [one for one in found if one.name[:18] <= last]
    return sorted(found, key=lambda one: (one.name[:18], int(one.name[19:] or 1)))


def _point_to(folder: Path) -> None:
    """Let `newest` lead to a folder; a file system without links goes without."""
    link = folder.parent / f".{_NEWEST}-{os.getpid()}"
    with contextlib.suppress(OSError):
        link.symlink_to(folder.name)
        link.replace(folder.parent / _NEWEST)
