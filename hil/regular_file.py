"""Open a file that a user named, without ever waiting: a named pipe may have no writer, a device no data."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KINDS", "open_regular"]

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
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check(path, stat.S_IFMT(os.fstat(descriptor).st_mode))
        return os.fdopen(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def _check(path: Path, kind: int) -> None:
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {KINDS.get(kind, 'no file')}", str(path))
