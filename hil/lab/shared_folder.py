"""The one folder on a machine where everybody's leases meet.

Any user who may write to the folder may also prepare it, so it is not trusted before it was looked at.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import UsageError
from hil.forked_child import forget_on_fork
from hil.lab.shared_file import ELSEWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SYSTEM_FOLDERS", "checked_folder", "forget_on_fork", "lock_folder", "unusable"]

SYSTEM_FOLDERS = ("/run/lock", "/tmp")  # noqa: S108 - one folder for all users; TMPDIR differs between them


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
