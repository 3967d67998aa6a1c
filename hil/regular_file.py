"""Open a file that a user named, and never wait: a named pipe may have no other end, a device no data."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KINDS", "check_folder", "check_regular", "nonblocking_opener", "open_regular", "read_regular"]

KINDS: Final = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
"""What has a file's name and is no file, by its type (inode(7))."""


def open_regular(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a regular file to read its bytes.

    Raises:
        OSError: It is no regular file (the text says what it is), or cannot be opened.
    """
    descriptor = _opened(path, os.O_RDONLY)
    try:
        _check(path, stat.S_IFMT(os.fstat(descriptor).st_mode))
        return os.fdopen(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path) -> bytes:
    """Return all bytes of a regular file; raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def check_regular(path: Path) -> None:
    """Check that a path is a regular file, or missing, before a library opens it by name.

    Raises:
        OSError: Something is there that is no regular file, or it cannot be looked at.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return
    _check(path, kind)


def check_folder(path: Path) -> None:
    """Check a folder that is made once it is needed; nothing at all there is well, too.

    Raises:
        OSError: Something is there that is no folder, or above it, or it cannot be looked at.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFDIR:
        raise OSError(errno.ENOTDIR, f"it is {KINDS.get(kind, 'a file')}", str(path))


def nonblocking_opener(path: str, flags: int) -> int:
    """Open a file to write it, as the `opener` of `open`.

    What is ready to take bytes may be no regular file: `/dev/stdout`, a named pipe that a program reads.

    Raises:
        OSError: It cannot be opened, or nothing would take what is written.
    """
    descriptor = _opened(path, flags | os.O_CREAT)
    os.set_blocking(descriptor, True)
    return descriptor


def _opened(path: Path | str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        what = KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "no file")  # noqa: PTH116 - may be text
        raise OSError(errno.ENXIO, f"it is {what}, and nothing is at its other end", str(path)) from error


def _check(path: Path, kind: int) -> None:
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {KINDS.get(kind, 'no file')}", str(path))
