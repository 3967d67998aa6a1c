"""Files in the lock folder that cannot serve for locks: what is wrong with them, and what to type."""

from __future__ import annotations

import errno
import grp
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.errors import SpoiltFileError
from hil.login_name import login_name
from hil.regular_file import KINDS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ELSEWHERE",
    "is_group_folder",
    "mode_of_files_in",
    "owner_name",
    "shared_file_problem",
    "spoilt_error",
]

ELSEWHERE: Final = "sudo install -d -m 1777 /run/hil, and HIL_LOCK_DIR=/run/hil for everybody on this machine"
"""Another folder for locks. Root makes it, because its owner could replace the locks in it."""

_FOR_EVERYBODY: Final = 0o666
_FOR_THE_GROUP: Final = 0o660
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


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
