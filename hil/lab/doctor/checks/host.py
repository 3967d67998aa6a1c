"""Check what runs need of the machine besides boards: a clock, disk space, a lock folder, guards."""

from __future__ import annotations

import grp
import os
import stat
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hil.distribution import PACKAGE
from hil.errors import SpoiltFileError, UsageError
from hil.lab.doctor.finding import ok, problem, problem_of, skipped
from hil.lab.guard.survival import find_dangers
from hil.lab.locks.lock_dir import (
    SYSTEM_FOLDERS,
    is_group_folder,
    lock_folder,
    owner_name,
    shared_file_problem,
)
from hil.lab.locks.shared_file import open_shared
from hil.lab.locks.tickets import waiting_tickets
from hil.lab.stick_sockets import is_stick_file

if TYPE_CHECKING:
    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Finding, Findings

__all__ = ["clock", "disk_space", "guard_survival", "locks"]

LEAST_BYTES = 256 << 20
"""More than the transcripts, traces and history of a night take."""

LEAST_FOR_LOCKS_BYTES = 1 << 20
_MOST_FILES = 1000
_DAY_S = 86_400
_SET_CLOCK = "sudo timedatectl set-ntp true"


def clock(context: DoctorContext) -> Findings:
    """Check whether the date is possible, and whether a time service sets it; history is sorted by it."""
    now_s = context.host_info.now()
    installed_s = (PACKAGE / "__init__.py").stat().st_mtime
    date = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="minutes")
    if now_s < installed_s - _DAY_S:
        why = "that is before this program was installed; history and reports are sorted by the date"
        yield problem("clock", f"the clock says {date}", why=why, fix=_SET_CLOCK)
        return
    kept = context.host_info.clock_is_kept()
    if kept:
        yield ok("clock", f"{date}, set by a time service")
    else:
        why = f"it says {date}, and no time service has set it; {_SET_CLOCK} starts one"
        yield skipped("clock", why)


def disk_space(context: DoctorContext) -> Findings:
    """Check whether there is room for the results of runs, and whether this user may write them."""
    folders = {
        context.folder: "runs keep their results there",
        Path(tempfile.gettempdir()): "for temporary files",
    }
    for folder, purpose in folders.items():
        yield _space_finding(context, folder, purpose, LEAST_BYTES)


def locks(context: DoctorContext) -> Findings:
    """Check whether locks work in the lock folder, and whether another user spoilt a file in it."""
    folder = None
    try:
        folder = lock_folder()
        os.close(open_shared(folder / "hil-queue"))
        tickets = waiting_tickets(folder)
    except UsageError as error:
        spoilt = folder if isinstance(error, SpoiltFileError) else None
        knows = spoilt is not None and (os.access(spoilt, os.W_OK) or is_group_folder(spoilt.stat()))
        yield problem_of("lock folder", error, fix="" if knows else _fix_for_lock_folder())
        return
    queue = f"; {len(tickets)} wait for a board" if tickets else ""
    facts = folder.stat()
    if is_group_folder(facts) and not facts.st_mode & stat.S_ISGID:
        why = "a new file may belong to another group, so that members of this one cannot open it"
        yield problem(
            "lock folder", f"{folder} lacks the setgid bit", why=why, fix=f"sudo chmod g+s {folder}"
        )
    else:
        yield ok("lock folder", f"{folder} can be used by {_users_of(facts)}{queue}")
    names = sorted(path.name for path in folder.glob("hil-*"))
    for name in [name for name in names if not is_stick_file(name)][:_MOST_FILES]:
        if (trouble := shared_file_problem(folder / name)) is not None:
            yield problem_of("lock folder", trouble)
    if context.host_info.free_bytes(folder) < LEAST_FOR_LOCKS_BYTES:
        yield _space_finding(context, folder, "locks and records are kept there", LEAST_FOR_LOCKS_BYTES)


def _users_of(facts: os.stat_result) -> str:
    """Return which users can use a lock folder, by its owner and mode."""
    if facts.st_mode & stat.S_IWOTH:
        return "everybody"
    if not is_group_folder(facts):
        return f"{owner_name(facts.st_uid)} alone"
    with suppress(KeyError):
        return f"the group {grp.getgrgid(facts.st_gid).gr_name}"
    return f"the group {facts.st_gid}"


def guard_survival(context: DoctorContext) -> Findings:
    """Check whether a guard would outlive a run that is started as this command was."""
    found = find_dangers(context.host_info.root, of_others=True)
    for danger in found:
        yield problem(
            "guards", danger.what, why="a killed run would leave its DUT powered", fix=danger.remedy
        )
    if not found:
        yield ok("guards", "a guard outlives a run that is started here")


def _space_finding(context: DoctorContext, folder: Path, purpose: str, least_bytes: int) -> Finding:
    if not os.access(folder, os.W_OK | os.X_OK):
        fix = f"sudo chown {context.host_info.user} {folder}    (or start runs in another folder)"
        return problem("disk space", f"{folder} may not be written", why=purpose, fix=fix)
    free_bytes = context.host_info.free_bytes(folder)
    free = f"{free_bytes / (1 << 20):,.0f} MiB are free in {folder}"
    if free_bytes < least_bytes:
        why = f"{purpose}; {least_bytes >> 20} MiB should be free"
        fix = f"du -xh --max-depth=2 {folder} | sort -h | tail    (then remove what is not needed)"
        return problem("disk space", f"only {free}", why=why, fix=fix)
    return ok("disk space", free)


def _fix_for_lock_folder() -> str:
    named = os.environ.get("HIL_LOCK_DIR")
    if named:
        return f"sudo chmod 1777 {named}    (or: unset HIL_LOCK_DIR)"
    broken = [folder for folder in SYSTEM_FOLDERS if not _is_world_writable(folder)]
    return f"sudo chmod 1777 {' '.join(broken or SYSTEM_FOLDERS)}"


def _is_world_writable(folder: str) -> bool:
    mode = Path(folder).stat().st_mode if Path(folder).is_dir() else 0
    return bool(mode & stat.S_IWOTH and mode & stat.S_ISVTX)
