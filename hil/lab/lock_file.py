"""One lock file in a folder that every user of the machine shares.

The kernel holds the lock (`flock`), so it ends with the process that holds it, however that dies. The file
stays: removing a lock file lets two processes lock two files of one name. Whoever may write to the folder may
also prepare it, so neither the folder nor the file is trusted before it was looked at.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LockFile", "checked_folder", "lock_folder"]

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
        raise _unusable(folder, "it is a link or a file, not a folder")
    if facts.st_uid not in {0, os.geteuid()}:
        raise _unusable(
            folder, f"it belongs to another user (uid {facts.st_uid}), who could swap the locks in it"
        )
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        raise _unusable(folder, "everybody may delete files in it: it lacks the sticky bit (chmod +t)")
    return folder


class LockFile:
    """A file that is either locked by this process or not.

    Args:
        path: Where it is, or will be made; readable and writable for everybody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _open(path)
        _OPEN.add(self)

    def try_lock(self) -> bool:
        """Lock it if nobody holds it; never waits.

        Raises:
            UsageError: The folder's file system knows no locks.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise _unusable(self.path, f"its file system gives no locks ({error.strerror})") from error
        return True

    def read(self) -> bytes:
        """Return what its holder wrote, at most 4 KiB; anybody may ask."""
        return os.pread(self._descriptor, 4096, 0)

    def write(self, content: bytes) -> None:
        """Replace its content. Only for its holder."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, content, 0)

    def close(self) -> None:
        """Give the lock up, if it was held; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


_OPEN: WeakSet[LockFile] = WeakSet()


def _forget_all() -> None:
    """A forked child shares the open file, and would hold the lock beyond its parent's end."""
    for lock in list(_OPEN):
        lock.close()


os.register_at_fork(after_in_child=_forget_all)


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
        raise _unusable(folder, f"it cannot be made ({error.strerror})") from error
    folder.chmod(0o1777)


def _open(path: Path) -> int:
    """Open, or make, a lock file.

    Linux refuses O_CREAT for another user's file in a sticky folder (fs.protected_regular), so it is opened
    without it first.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            _create(path)
        except OSError as error:
            why = "it is a link" if error.errno == errno.ELOOP else str(error.strerror)
            raise _unusable(path, why) from error
        else:
            break
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        os.close(descriptor)
        raise _unusable(path, "it is not a plain file of one name")
    return descriptor


def _create(path: Path) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise _unusable(path, f"it cannot be made ({error.strerror})") from error
    os.fchmod(descriptor, 0o666)
    os.close(descriptor)


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} cannot be used for locks", why=why, remedy=ELSEWHERE)
