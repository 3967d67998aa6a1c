"""The one folder on a machine where everybody's leases meet, and how to open a file in it.

Whoever may write to the folder may also prepare it, so neither the folder nor a file in it is trusted before
it was looked at; links are never followed.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.forked_child import forget_on_fork

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SYSTEM_FOLDERS", "checked_folder", "forget_on_fork", "lock_folder", "open_shared", "unusable"]

SYSTEM_FOLDERS = ("/run/lock", "/tmp")  # noqa: S108 - one folder for all users; TMPDIR differs between them
ELSEWHERE = "name another folder with HIL_LOCK_DIR, the same one for everybody on this machine"


def lock_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of this machine's lock files: `HIL_LOCK_DIR`, `/run/lock` or `/tmp`.

    The choice rests on what the folder is, not on who asks: two users must never lock in two folders.

    Raises:
        UsageError: `HIL_LOCK_DIR` cannot be used, or may be tampered with by another user.
    """
    named = environ.get("HIL_LOCK_DIR")
    if named:
        folder = Path(named)
        _make(folder)
        return checked_folder(folder)
    first, *others = map(Path, SYSTEM_FOLDERS)
    return next((folder for folder in (first, *others) if _is_for_everybody(folder)), others[-1])


def checked_folder(folder: Path) -> Path:
    """Return `folder` if nobody but root and this user can swap files in it.

    Raises:
        UsageError: It is a link, is another user's, or is world-writable without the sticky bit.
    """
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise unusable(folder, "it is a link or a file, not a folder")
    if facts.st_uid not in {0, os.geteuid()}:
        raise unusable(
            folder, f"it belongs to another user (uid {facts.st_uid}), who could swap the locks in it"
        )
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        raise unusable(folder, "everybody may delete files in it: it lacks the sticky bit (chmod +t)")
    return folder


def open_shared(path: Path) -> int:
    """Open a file that everybody reads and writes, or make it; return its descriptor.

    Linux refuses O_CREAT for another user's file in a sticky folder (fs.protected_regular), so it is opened
    without it first.

    Raises:
        UsageError: What has its name is a link, has a second name, is no plain file or may not be opened.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            _create(path)
        except OSError as error:
            why = "it is a link" if error.errno == errno.ELOOP else str(error.strerror)
            raise unusable(path, why) from error
        else:
            break
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        os.close(descriptor)
        raise unusable(path, "it is not a plain file of one name")
    return descriptor


def unusable(path: Path, why: str) -> UsageError:
    """Say that a file or folder cannot serve for locks, and what to do instead."""
    return UsageError(f"{path} cannot be used for locks", why=why, remedy=ELSEWHERE)


def _is_for_everybody(folder: Path) -> bool:
    try:
        mode = checked_folder(folder).stat().st_mode
    except (OSError, UsageError):
        return False
    return mode & 0o1777 == 0o1777  # noqa: PLR2004 - the one mode that lets everybody make a file and none delete


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    except OSError as error:
        raise unusable(folder, f"it cannot be made ({error.strerror})") from error
    folder.chmod(0o1777)


def _create(path: Path) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise unusable(path, f"it cannot be made ({error.strerror})") from error
    os.fchmod(descriptor, 0o666)
    os.close(descriptor)
