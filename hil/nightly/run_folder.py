"""The folder of a night, named by its UTC time and never overwritten, its record, and its status in words."""

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
from typing import TYPE_CHECKING

from hil.history.nights import FOLDER_FORMAT
from hil.kernel_lock import try_lock
from hil.lab.files.atomic_file import write_below
from hil.regular_file import read_regular
from hil.suite.outcome.exit_status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "LATE",
    "NightRecord",
    "delete_old_folders",
    "explain_status",
    "mark_simulated",
    "marked_as_running",
    "new_folder",
    "newest_record",
]

LATE = 18
"""Exit status of `hil nightly status` if a night was due and did not run."""

_MEANINGS = {
    Status.GREEN: "green: every test passed at its first attempt",
    Status.TESTS_FAILED: "red: tests failed",
    2: "red: interrupted, ended before its summary, or tests could not be collected",
    3: "red: an error inside of pytest",
    4: "red: pytest did not start: a wrong option, conftest.py or lab file",
    6: "red: more warnings than --max-warnings allows",
    Status.NOTHING_RAN: "red: nothing ran on a board",
    Status.BENCH_NOT_READY: "red: the bench was not ready: boards were lost, unusable or took no part",
    Status.FLAKY: "flaky: tests passed only when they were repeated",
}

_FIRST_OF_SIGNALS = 128


def explain_status(status: int) -> str:
    """Return the meaning of an exit status."""
    if status > _FIRST_OF_SIGNALS:
        return f"red: pytest was killed by signal {status - _FIRST_OF_SIGNALS}"
    return _MEANINGS.get(status, f"red: pytest ended with status {status}")


def mark_simulated(meaning: str) -> str:
    """Return the meaning with a prefix that says that the boards were simulated."""
    return f"SIMULATED boards, {meaning}"


_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?")
_AHEAD = timedelta(hours=1)
_RECORD = "night.json"
_NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class NightRecord:
    """The record of a night, as `night.json` holds it.

    Attributes:
        began: Start, UTC, ISO 8601.
        ended: End, UTC, ISO 8601; empty while it runs, or if it was killed.
        status: Exit status; None while it runs, or if it was killed.
        meaning: The status in words.
        command: The command that was run.
        folder: Path of the night's folder.
        simulated: The simulated boards that it used, as `--hil-boards` has them; `sim` if only its ledger
            tells that it used some; empty if it used none.
    """

    began: str
    ended: str = ""
    status: int | None = None
    meaning: str = "it was cut short, or still runs"
    command: tuple[str, ...] = ()
    folder: str = ""
    simulated: str = ""

    @property
    def summary(self) -> str:
        """The meaning for people; it begins with `SIMULATED` if the boards were simulated."""
        return mark_simulated(self.meaning) if self.simulated else self.meaning

    def write(self) -> None:
        """Write the record into its folder, completely or not at all."""
        write_below(Path(self.folder), _RECORD, json.dumps(asdict(self), indent=2) + "\n", mode=None)


def new_folder(parent: Path) -> Path:
    """Create a new folder under `parent`, and point the link `newest` to it.

    A second folder of the same second gets a number.
    """
    name = datetime.now(UTC).strftime(FOLDER_FORMAT)
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()  # atomic: if two runs try the same name, one fails
            _point_to(folder)
            return folder
    raise AssertionError  # pragma: no cover  # count() does not end


@contextlib.contextmanager
def marked_as_running(folder: Path) -> Iterator[None]:
    """Hold a kernel lock on a night's folder, which ends with this process, however it ends."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a network's file system may have no such locks
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, descriptor)
            try_lock(descriptor)
        yield


def newest_record(parent: Path, now_s: float | None = None, *, but: str = "") -> NightRecord | None:
    """Return the newest night's record that can be read, or None if there is none.

    Args:
        parent: The folder of the nights.
        now_s: The present time in seconds since 1970; None for the clock's.
        but: A night's folder that does not count.
    """
    from pydantic import TypeAdapter  # noqa: PLC0415 - only to read records

    for folder in reversed(_nights(parent, now_s)):
        if str(folder) == but:
            continue
        with contextlib.suppress(OSError, ValueError, RecursionError):
            record = TypeAdapter(NightRecord).validate_json(read_regular(folder / _RECORD))
            for moment in filter(None, (record.began, record.ended)):
                datetime.fromisoformat(moment)
            return replace(record, folder=str(folder))
    return None


def delete_old_folders(parent: Path, keep: int) -> list[Path]:
    """Delete all nights' folders but the newest `keep`, and return the deleted ones.

    Other folders stay, and so do nights that are dated in the future.
    """
    old = _nights(parent)[: -keep or None]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return old


def _nights(parent: Path, now_s: float | None = None) -> list[Path]:
    """Return the nights' folders, oldest first, without those that a fast clock dated in the future."""
    if not parent.is_dir():
        return []
    latest = datetime.fromtimestamp(time.time() if now_s is None else now_s, UTC) + _AHEAD
    last = latest.strftime(FOLDER_FORMAT)
    found = [one for one in parent.iterdir() if _NAME.fullmatch(one.name) and one.is_dir()]
    found = [one for one in found if one.name[:18] <= last]
    return sorted(found, key=lambda one: (one.name[:18], int(one.name[19:] or 1)))


def _point_to(folder: Path) -> None:
    """Point the link `newest` to a folder, if the file system has links and no other file has that name."""
    newest = folder.parent / _NEWEST
    if os.path.lexists(newest) and not newest.is_symlink():
        return
    link = folder.parent / f".{_NEWEST}-{os.getpid()}"
    with contextlib.suppress(OSError):
        link.symlink_to(folder.name)
        link.replace(newest)
