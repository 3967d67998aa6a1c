"""Open files that a user named without ever blocking, as opening a named pipe or a device may."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "KINDS",
    "check_folder",
    "check_regular",
    "nonblocking_opener",
    "open_regular",
    "own_file_opener",
    "read_regular",
]

KINDS: Final = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
}
"""Names of the file types that are no regular file (inode(7))."""

_KEEP_NOTHING: Final = frozenset({os.makedev(1, 3), os.makedev(1, 7)})
"""The device numbers of `/dev/null` and `/dev/full` (null(4), full(4))."""


def open_regular(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a regular file to read its bytes.

    Raises:
        OSError: The path is no regular file (the error says what it is), or cannot be opened.
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
        OSError: The path is no regular file, or cannot be examined.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return
    _check(path, kind)


def check_folder(path: Path) -> None:
    """Check that a path is a folder, or missing, before it is created when needed.

    Raises:
        OSError: The path or one above it is no folder, or cannot be examined.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFDIR:
        raise OSError(errno.ENOTDIR, f"it is {KINDS.get(kind, 'a file')}", str(path))


def nonblocking_opener(path: str, flags: int) -> int:
    """Open a file for writing, as the `opener` of `open`.

    Allowed besides regular files: `/dev/stdout`, a named pipe that a program reads, a terminal, `/dev/null`.
    Other devices are refused, since writing to a disk destroys its content.

    Raises:
        OSError: The file cannot be opened, is another device, or is a pipe that no program reads.
    """
    with suppress(FileNotFoundError):
        _check_takes_text(path, os.stat(path))  # noqa: PTH116 - text; to open some devices is to use them
    descriptor = _opened(path, flags | os.O_CREAT)
    try:
        _check_takes_text(path, os.fstat(descriptor), descriptor)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def own_file_opener(path: str, flags: int) -> int:
    """Open a regular file of hil for writing, as the `opener` of `open`; follow no link to another file.

    Raises:
        OSError: The path is a link or no regular file, or cannot be opened.
    """
    descriptor = _opened(path, flags | os.O_CREAT | os.O_NOFOLLOW)
    try:
        _check(path, stat.S_IFMT(os.fstat(descriptor).st_mode))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_takes_text(path: str, status: os.stat_result, descriptor: int | None = None) -> None:
    """Refuse devices other than terminals, `/dev/null` and `/dev/full`; opening tells what is a terminal."""
    kind = stat.S_IFMT(status.st_mode)
    is_device = kind in {stat.S_IFBLK, stat.S_IFCHR}
    may_be_terminal = kind == stat.S_IFCHR and (descriptor is None or os.isatty(descriptor))
    if is_device and status.st_rdev not in _KEEP_NOTHING and not may_be_terminal:
        raise OSError(errno.EINVAL, f"it is {KINDS[kind]}, and no terminal: name a file", str(path))


def _opened(path: Path | str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        what = KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "no file")  # noqa: PTH116 - may be text
        raise OSError(errno.ENXIO, f"it is {what}, and nothing is at its other end", str(path)) from error


def _check(path: Path | str, kind: int) -> None:
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"it is {KINDS.get(kind, 'no file')}", str(path))
