"""Open, make and read a file in the lock folder, where other users may have prepared a file of any name.

A new file gets its name when its content and its mode are complete: no user meets it half made, and a process
that is killed while it makes one leaves nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from hil.lab.locks.lock_dir import is_group_folder, mode_of_files_in, spoilt_error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["open_shared", "read_shared", "replace_shared"]

_NO_TMPFILE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
"""The errors of file systems without O_TMPFILE, and of machines without /proc."""

_RENAME_NOREPLACE: Final = 1  # linux/fs.h
_AT_FDCWD: Final = -100  # linux/fcntl.h
_OPEN_SHARED: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_shared(path: Path, content: bytes = b"") -> int:
    """Open a file that all users of its folder read and write, or make it; return its descriptor.

    Linux refuses O_CREAT for another user's file in a sticky folder (fs.protected_regular), so the file is
    opened without O_CREAT first.

    Args:
        path: The file.
        content: The content of a file that has to be made.

    Raises:
        SpoiltFileError: The file cannot be made, or something else has its name.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | _OPEN_SHARED)
        except FileNotFoundError:
            _create(path, content)
            continue
        except PermissionError as error:
            if not _restore_mode(path):
                raise spoilt_error(path, error) from error
            continue
        except OSError as error:
            raise spoilt_error(path, error) from error
        is_there = False
        try:
            is_there = _check(path, descriptor).st_nlink > 0
        except OSError as error:
            raise spoilt_error(path, error) from error
        finally:
            if not is_there:
                os.close(descriptor)
        if is_there:  # else it was removed since it was opened
            return descriptor


def read_shared(path: Path, most_bytes: int) -> bytes:
    """Return the first bytes of a file without waiting for them; needs no right to write.

    Raises:
        FileNotFoundError: There is no such file.
        SpoiltFileError: The file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPEN_SHARED)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise spoilt_error(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise spoilt_error(path)
        return os.pread(descriptor, most_bytes, 0)
    except OSError as error:
        raise spoilt_error(path, error) from error
    finally:
        os.close(descriptor)


def replace_shared(path: Path, content: bytes) -> None:
    """Replace whatever has a file's name by a new file; move a folder aside, and follow no link.

    Raises:
        SpoiltFileError: Another user's file has the name, or there is no room.
    """
    try:
        beside = _create_beside(path, content)
        try:
            if stat.S_ISDIR(path.lstat().st_mode):
                path.rename(_unused_name(path))
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise spoilt_error(path, error) from error


def _check(path: Path, descriptor: int) -> os.stat_result:
    """Give an opened file its mode and return its stat result; refuse a file that is also another file."""
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise spoilt_error(path)
    wanted = mode_of_files_in(path.parent.stat())
    is_shared = facts.st_mode & wanted == wanted
    if facts.st_nlink > 1 and not is_shared:  # other users may not write to its owner's file
        raise spoilt_error(path)
    if not is_shared and os.geteuid() in {0, facts.st_uid}:
        os.fchmod(descriptor, wanted)
    return facts


def _restore_mode(path: Path) -> bool:
    """Give a file of this user its mode again; return True if its mode forbade this user to open it."""
    try:
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        facts, wanted = os.fstat(handle), mode_of_files_in(path.parent.stat())
        mine = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_uid == os.geteuid()
        if not mine or facts.st_mode & wanted == wanted:
            return False
        os.chmod(f"/proc/self/fd/{handle}", wanted)  # noqa: PTH101 - the open file, even if it was renamed
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _create(path: Path, content: bytes) -> None:
    """Make a complete file, unless another process made it first."""
    try:
        try:
            _create_unnamed(path, content)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
            _create_by_rename(path, content)
    except FileExistsError:
        return
    except OSError as error:
        raise spoilt_error(path, error, because=f"it cannot be made ({error.strerror})") from error


def _create_unnamed(path: Path, content: bytes) -> None:
    """Make a file without a name, and give it its name when it is complete."""
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


def _create_by_rename(path: Path, content: bytes) -> None:
    """Make a file under a spare name and rename it, for file systems without O_TMPFILE."""
    beside = _create_beside(path, content)
    try:
        _rename_unless_taken(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _rename_unless_taken(beside: Path, path: Path) -> None:
    import ctypes  # noqa: PLC0415 - for this alone

    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(beside), os.fsencode(path))
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
        return
    if (number := ctypes.get_errno()) not in {errno.EINVAL, errno.ENOSYS}:
        raise OSError(number, os.strerror(number))
    path.hardlink_to(beside)


def _create_beside(path: Path, content: bytes) -> Path:
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
    os.fchmod(descriptor, mode_of_files_in(folder))
