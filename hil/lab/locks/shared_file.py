"""Open, make and read a file in the folder of locks, where other users may have prepared any name.

A file is born with its content and its final mode: no user meets it half made, and a maker that is killed
leaves nothing. What has a file's name and cannot serve as one is told with its owner and what to type.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import shlex
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.errors import SpoiltFileError
from hil.regular_file import KINDS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ELSEWHERE",
    "is_group_folder",
    "open_shared",
    "owner_name",
    "read_shared",
    "replace_shared",
    "shared_file_problem",
    "spoilt_error",
]

ELSEWHERE: Final = "name another folder with HIL_LOCK_DIR, the same one for everybody on this machine"

_FOR_EVERYBODY: Final = 0o666
_FOR_THE_GROUP: Final = 0o660
_NO_TMPFILE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
"""How file systems that know no O_TMPFILE, and machines without /proc, refuse it."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_RENAME_NOREPLACE: Final = 1  # linux/fs.h
_AT_FDCWD: Final = -100  # linux/fcntl.h
_OPEN: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_shared(path: Path, content: bytes = b"") -> int:
    """Open a file that all users of its folder read and write, or make it; return its descriptor.

    Linux refuses O_CREAT for another user's file in a sticky folder (fs.protected_regular), so it is opened
    without it first.

    Args:
        path: Which.
        content: What it holds when it is made.

    Raises:
        SpoiltFileError: What has its name cannot be used, or it cannot be made.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | _OPEN)
        except FileNotFoundError:
            _bear(path, content)
            continue
        except PermissionError as error:
            if not _give_back_its_mode(path):
                raise spoilt_error(path, error) from error
            continue
        except OSError as error:
            raise spoilt_error(path, error) from error
        try:
            if _check(path, descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed since it was opened


def read_shared(path: Path, most_bytes: int) -> bytes:
    """Return the first bytes of a file, and never wait for them; needs no right to write.

    Raises:
        FileNotFoundError: There is none.
        SpoiltFileError: What has its name cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPEN)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise spoilt_error(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise spoilt_error(path)
        return os.pread(descriptor, most_bytes, 0)
    finally:
        os.close(descriptor)


def replace_shared(path: Path, content: bytes) -> None:
    """Put a file in the place of whatever has its name; a folder is moved aside, links are not followed.

    Raises:
        SpoiltFileError: The name belongs to another user, or there is no room.
    """
    try:
        beside = _made_beside(path, content)
        try:
            if stat.S_ISDIR(path.lstat().st_mode):
                path.rename(_unused_name(path))
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise spoilt_error(path, error) from error


def spoilt_error(path: Path, error: OSError | None = None, because: str = "") -> SpoiltFileError:
    """Say which file it is, whose, and what to type."""
    facts = None
    with suppress(OSError):
        facts = path.lstat()
    number = error.errno if error else None
    if number in _NO_ROOM:
        remedy = f"make room in {path.parent} (df -hi {path.parent}), or {ELSEWHERE}"
        why = f"there is no room in {path.parent} ({os.strerror(number or 0)})"
    elif facts is None and number == errno.EACCES and (group := _group_of(path.parent)):
        why = f"{path.parent} is for the group {group}"
        remedy = f"sudo usermod --append --groups {group} USER    (then log in again; or: {ELSEWHERE})"
    elif facts is None or (because and error):
        why, remedy = because or str(error.strerror if error else "it is gone"), ELSEWHERE
    else:
        kind = because or KINDS.get(stat.S_IFMT(facts.st_mode), "")
        what = kind or f"a file of mode {stat.S_IMODE(facts.st_mode):04o}"
        closed = f" that may not be opened ({error.strerror})" if error and not kind else ""
        why = f"it is {what} of {owner_name(facts.st_uid)}{closed}"
        remedy = f"{_mend(path, facts, kind)}    (or: {ELSEWHERE})"
    return SpoiltFileError(f"{path} cannot be used for locks", why=why, remedy=remedy, errno=number)


def shared_file_problem(path: Path) -> SpoiltFileError | None:
    """Return what is wrong with whatever has a file's name; None if it is a file for all, or not there.

    The answer depends on the file, not on the user who asks: all users must get the same one.
    """
    try:
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode):
            wanted = _final_mode(path.parent.stat())
            if facts.st_mode & wanted == wanted or os.geteuid() in {0, facts.st_uid}:
                return None
    except OSError:
        return None
    return spoilt_error(path)


def owner_name(uid: int) -> str:
    """Return a user as messages name them: login name and number."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def is_group_folder(facts: os.stat_result) -> bool:
    """Return True if a folder's files are for its group, and not for everybody."""
    return bool(facts.st_mode & stat.S_IWGRP) and not facts.st_mode & stat.S_IWOTH


def _group_of(folder: Path) -> str:
    """Return the group that a folder is for; empty if it is not for a group."""
    try:
        facts = folder.stat()
        return grp.getgrgid(facts.st_gid).gr_name if is_group_folder(facts) else ""
    except KeyError:
        return str(facts.st_gid)
    except OSError:
        return ""


def _final_mode(folder: os.stat_result) -> int:
    return _FOR_THE_GROUP if is_group_folder(folder) else _FOR_EVERYBODY


def _check(path: Path, descriptor: int) -> os.stat_result:
    """Return what an opened file is, once it is sure that writing to it harms nothing else."""
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise spoilt_error(path)
    wanted = _final_mode(path.parent.stat())
    is_shared = facts.st_mode & wanted == wanted
    if facts.st_nlink > 1 and not is_shared:  # others may not write to a file of its owner
        raise spoilt_error(path, because="not a plain file of one name, but a second name of a file")
    if not is_shared and os.geteuid() in {0, facts.st_uid}:
        os.fchmod(descriptor, wanted)
    return facts


def _give_back_its_mode(path: Path) -> bool:
    """Let a file of this user's be opened again whose mode forbids it; return whether that was the case."""
    try:
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        facts, wanted = os.fstat(handle), _final_mode(path.parent.stat())
        mine = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_uid == os.geteuid()
        if not mine or facts.st_mode & wanted == wanted:
            return False
        os.chmod(f"/proc/self/fd/{handle}", wanted)  # noqa: PTH101 - the open file, whatever its name is by now
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _bear(path: Path, content: bytes) -> None:
    """Make a file, complete, unless another process was faster."""
    try:
        try:
            _bear_without_a_name(path, content)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
            _bear_by_rename(path, content)
    except FileExistsError:
        return
    except OSError as error:
        raise spoilt_error(path, error, because=f"it cannot be made ({error.strerror})") from error


def _bear_without_a_name(path: Path, content: bytes) -> None:
    """Make a file that has no name, and give it one when it is complete."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            _finish(descriptor, path, content)
            os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(descriptor)
    finally:
        os.close(folder)


def _bear_by_rename(path: Path, content: bytes) -> None:
    """Make a file under a spare name and rename it, where a file without a name cannot be made."""
    beside = _made_beside(path, content)
    try:
        _rename_to_a_free_name(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _rename_to_a_free_name(beside: Path, path: Path) -> None:
    import ctypes  # noqa: PLC0415 - for this alone

    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(beside), os.fsencode(path))
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
        return
    if (number := ctypes.get_errno()) not in {errno.EINVAL, errno.ENOSYS}:
        raise OSError(number, os.strerror(number))
    path.hardlink_to(beside)


def _made_beside(path: Path, content: bytes) -> Path:
    beside = _unused_name(path)
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _finish(descriptor, path, content)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return beside


def _unused_name(path: Path) -> Path:
    return path.with_name(f".hil-{os.urandom(8).hex()}")


def _finish(descriptor: int, path: Path, content: bytes) -> None:
    """Give a new file its content, group and mode."""
    folder = path.parent.stat()
    if content:
        os.pwrite(descriptor, content, 0)
    if is_group_folder(folder) and os.fstat(descriptor).st_gid != folder.st_gid:
        os.fchown(descriptor, -1, folder.st_gid)
    os.fchmod(descriptor, _final_mode(folder))


def _mend(path: Path, facts: os.stat_result, kind: str) -> str:
    name = shlex.quote(str(path))
    if stat.S_ISDIR(facts.st_mode):
        return f"sudo rm -r {name}"
    return f"sudo rm {name}" if kind else f"sudo chmod 666 {name}"
