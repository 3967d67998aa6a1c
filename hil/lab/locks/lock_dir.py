"""The folder where all users of a machine lock their boards, and files in it that cannot serve for locks.

Any user who may write to the folder may also prepare files in it, so the folder is checked before it is used,
and each file when it is opened (`shared_file.py`).
"""

from __future__ import annotations

import errno
import grp
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.errors import SpoiltFileError, UsageError
from hil.login_name import login_name
from hil.regular_file import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SYSTEM_FOLDERS",
    "check_folder",
    "is_group_folder",
    "is_unmapped_owner",
    "lock_folder",
    "make_folder",
    "mode_of_files_in",
    "owner_name",
    "shared_file_problem",
    "spoilt_error",
    "unusable_error",
]

SYSTEM_FOLDERS = ("/run/lock", "/tmp")  # noqa: S108 - one folder for all users; TMPDIR differs between them

_MOUNTS = Path("/proc/self/mountinfo")
_UID_MAP = Path("/proc/self/uid_map")
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")
_ALL_UIDS = ["0", "0", str(2**32 - 1)]
"""What `uid_map` says outside of user namespaces."""

_PRIVATE = "/systemd-private-"

ELSEWHERE: Final = "sudo install -d -m 1777 /run/hil, and HIL_LOCK_DIR=/run/hil for everybody on this machine"
"""Another folder for locks. Root makes it, because its owner could replace the locks in it."""

_FOR_EVERYBODY: Final = 0o666
_FOR_THE_GROUP: Final = 0o660
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


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
        if os.geteuid() == 0:
            folder.chmod(0o1777)
    except FileExistsError:
        return
    except OSError as error:
        raise unusable_error(folder, f"it cannot be made ({error.strerror})") from error


def spoilt_error(path: Path, error: OSError | None = None, because: str = "") -> SpoiltFileError:
    """Return the error for a file that cannot serve for locks: which file it is, whose, and what to type."""
    facts = None
    with suppress(OSError):
        facts = path.lstat()
    could_not_be_made = bool(because and error)
    number = error.errno if error else None
    if number in _NO_ROOM:
        remedy = f"make room in {path.parent} (df -hi {path.parent}), or {ELSEWHERE}"
        why = f"there is no room in {path.parent} ({os.strerror(number or 0)})"
    elif facts is None and number == errno.EACCES and (group := _group_of(path.parent)):
        why = f"{path.parent} is for the group {group}"
        remedy = f"sudo usermod --append --groups {group} USER    (then log in again; or: {ELSEWHERE})"
    elif facts is None or could_not_be_made:
        why, remedy = because or str(error.strerror if error else "it is gone"), ELSEWHERE
    else:
        kind = because or KINDS.get(stat.S_IFMT(facts.st_mode), "")
        if not kind and facts.st_nlink > 1:
            kind = "a second name of a file"
        what = kind or f"a file of mode {stat.S_IMODE(facts.st_mode):04o}"
        closed = f" that may not be opened ({error.strerror})" if error and not kind else ""
        why = f"it is {what} of {owner_name(facts.st_uid)}{closed}"
        remedy = f"{_command_for(path, facts, kind)}    (or: {ELSEWHERE})"
    return SpoiltFileError(f"{path} cannot be used for locks", why=why, remedy=remedy, errno=number)


def shared_file_problem(path: Path) -> SpoiltFileError | None:
    """Return what is wrong with a file, or None if all users can share it, or if there is no such file.

    The answer depends on the file, not on the user who asks: all users must get the same answer. So it is
    the same for the file's owner and for root, whom a mode does not hinder.
    """
    try:
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode):
            wanted = mode_of_files_in(path.parent.stat())
            if facts.st_mode & wanted == wanted:
                return None
    except OSError:
        return None
    return spoilt_error(path)


def owner_name(uid: int) -> str:
    """Return a user as messages name them: login name and number."""
    name = login_name(uid)
    return f"{name} (uid {uid})" if name else f"uid {uid}"


def is_group_folder(facts: os.stat_result) -> bool:
    """Return True if a folder's files are for its group instead of for everybody."""
    return bool(facts.st_mode & stat.S_IWGRP) and not facts.st_mode & stat.S_IWOTH


def mode_of_files_in(folder: os.stat_result) -> int:
    """Return the mode that the files of a lock folder have."""
    return _FOR_THE_GROUP if is_group_folder(folder) else _FOR_EVERYBODY


def _group_of(folder: Path) -> str:
    """Return the group that a folder is for, or an empty string if it is not for a group."""
    try:
        facts = folder.stat()
        return grp.getgrgid(facts.st_gid).gr_name if is_group_folder(facts) else ""
    except KeyError:
        return str(facts.st_gid)
    except OSError:
        return ""


def _command_for(path: Path, facts: os.stat_result, kind: str) -> str:
    from shlex import quote  # noqa: PLC0415 - only for an error

    name = quote(str(path))
    if stat.S_ISDIR(facts.st_mode):
        return f"sudo rm -r {name}"
    return f"sudo rm {name}" if kind else f"sudo chmod {mode_of_files_in(path.parent.stat()):o} {name}"
