"""The one folder of a machine where all users lock their boards.

Any user who may write to the folder may also prepare files in it, so it is checked before it is used.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.lab.locks.spoilt_file import ELSEWHERE, owner_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SYSTEM_FOLDERS",
    "check_folder",
    "is_unmapped_owner",
    "lock_folder",
    "make_folder",
    "unusable_error",
]

SYSTEM_FOLDERS = ("/run/lock", "/tmp")  # noqa: S108 - one folder for all users; TMPDIR differs between them

_MOUNTS = Path("/proc/self/mountinfo")
_UID_MAP = Path("/proc/self/uid_map")
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")
_ALL_UIDS = ["0", "0", str(2**32 - 1)]
"""What `uid_map` says outside of user namespaces."""

_PRIVATE = "/systemd-private-"


def lock_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of this machine's lock files: `HIL_LOCK_DIR`, `/run/lock` or `/tmp`.

    The choice depends on the folders, and not on the user: two users must never lock in two folders.

    Raises:
        UsageError: `HIL_LOCK_DIR` cannot be used, or another user may tamper with it; or there is only a
            `/tmp` that other processes do not see.
    """
    named = environ.get("HIL_LOCK_DIR")
    if named:
        folder = Path(named)
        make_folder(folder)
        return check_folder(folder)
    folders = [Path(name) for name in SYSTEM_FOLDERS]
    # If none is open to all users, /tmp all the same, because the choice must not depend on the user; the
    # error for the first file that cannot be made there says why.
    folder = next(filter(_is_world_writable, folders), folders[-1])
    _refuse_private(folder)
    return folder


def check_folder(folder: Path) -> Path:
    """Return `folder` if only root, this user and the members of its group can replace files in it.

    Raises:
        UsageError: The folder is a link, is another user's, or lacks the sticky bit though others may write
            to it.
    """
    try:
        facts = folder.lstat()
    except OSError as error:
        raise unusable_error(folder, str(error.strerror)) from error
    if not stat.S_ISDIR(facts.st_mode):
        raise unusable_error(folder, "it is a link or a file, not a folder")
    if facts.st_uid not in {0, os.geteuid()} and not is_unmapped_owner(facts.st_uid):
        why = f"it belongs to another user, {owner_name(facts.st_uid)}, who could replace the locks in it"
        raise unusable_error(folder, why)
    if facts.st_mode & (stat.S_IWOTH | stat.S_IWGRP) and not facts.st_mode & stat.S_ISVTX:
        who = "everybody" if facts.st_mode & stat.S_IWOTH else "each member of its group"
        raise unusable_error(
            folder, f"{who} may delete files in it: it lacks the sticky bit (chmod +t {folder})"
        )
    return folder


def is_unmapped_owner(uid: int) -> bool:
    """Return True if an owner has no number in this user namespace, as the host's root in a container.

    A rootless container sees the host's `/run/lock` like that, and must lock there.
    """
    try:
        return uid == int(_OVERFLOW_UID.read_text()) and _UID_MAP.read_text().split() != _ALL_UIDS
    except (OSError, ValueError):
        return False


def _refuse_private(folder: Path) -> None:
    """Refuse a system folder that systemd made for one unit alone (PrivateTmp=).

    Raises:
        UsageError: The folder is such a folder.
    """
    try:
        mounts = [line.split() for line in _MOUNTS.read_text(errors="replace").splitlines()]
    except OSError:
        return
    # proc(5): field 3 is the root of the mount, field 4 its mount point.
    if any(fields[4] == str(folder) and _PRIVATE in fields[3] for fields in mounts):
        raise UsageError(
            f"{folder} cannot be used for locks",
            why=f"PrivateTmp= made it for this unit alone, and {SYSTEM_FOLDERS[0]} is not open to all users",
            remedy=f"PrivateTmp=no in the unit; or sudo chmod 1777 {SYSTEM_FOLDERS[0]}; or {ELSEWHERE}",
        )


def unusable_error(path: Path, why: str) -> UsageError:
    """Return the error for a file or folder that cannot serve for locks."""
    return UsageError(f"{path} cannot be used for locks", why=why, remedy=ELSEWHERE)


def _is_world_writable(folder: Path) -> bool:
    try:
        mode = check_folder(folder).stat().st_mode
    except (OSError, UsageError):
        return False
    return mode & 0o1777 == 0o1777  # noqa: PLR2004 - the one mode that lets everybody make a file and none delete


def make_folder(folder: Path) -> None:
    """Make a folder for locks, of all users if root makes it; a folder that exists is left as it is.

    The folder of another user is closed to others, as `check_folder` refuses it to them.

    Raises:
        UsageError: The folder cannot be made.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    except OSError as error:
        raise unusable_error(folder, f"it cannot be made ({error.strerror})") from error
    if os.geteuid() == 0:
        folder.chmod(0o1777)
