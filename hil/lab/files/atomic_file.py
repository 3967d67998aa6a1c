"""Replace a text file as a whole: a reader sees the old content or the new, even if the writer is killed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["has_folder_below", "write_atomically", "write_below"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomically(file: Path, text: str, *, mode: int | None = None) -> None:
    """Write a text file beside the old one, and rename it once it is on the disk.

    If `file` is a link, the file that it leads to is replaced.

    Args:
        file: The file.
        text: Its whole content.
        mode: Its permissions; None for those of the old file, or the usual ones if there is none.

    Raises:
        OSError: The file could not be written; the old file is unchanged.
    """
    file = file.resolve()
    folder = os.open(file.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _replace(folder, file.name, text, _mode_of(file) if mode is None else mode)
    finally:
        os.close(folder)


def write_below(root: Path, name: str, text: str, *, mode: int | None = 0o644) -> Path:
    """Write a text file below `root`, follow no link below it, and return the file's path.

    Missing folders are made.

    Args:
        root: A folder; it may be a link.
        name: The file's path from there, without `..`.
        text: Its whole content.
        mode: Its permissions; None for the usual ones, of a file that may be lost with the machine's power.

    Raises:
        FileExistsError: A part of the path is a link, or not the folder or file that it should be.
        OSError: The file could not be written.
    """
    *folders, last = Path(name).parts
    with _opened(root, folders, make=True) as folder:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(last, dir_fd=folder).st_mode):
                raise FileExistsError(errno.EEXIST, "it is a link or a folder, not a file", str(root / name))
        _replace(folder, last, text, _usual_mode() if mode is None else mode, sync=mode is not None)
    return root / name


def has_folder_below(root: Path, name: str) -> bool:
    """Return True if there is a folder of that path below `root`, and no part of the path is a link."""
    try:
        with _opened(root, Path(name).parts):
            return True
    except OSError:
        return False


def _replace(folder: int, name: str, text: str, mode: int, *, sync: bool = True) -> None:
    """Replace a file in an open folder: write a new one beside it, and rename it."""
    beside = f".{name}.{secrets.token_hex(8)}"
    descriptor = os.open(beside, _NEW, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as opened:  # noqa: PTH123 - a descriptor
            opened.write(text)
            opened.flush()
            os.fchmod(descriptor, mode)
            if sync:
                os.fsync(descriptor)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
        raise


def _mode_of(file: Path) -> int:
    with suppress(FileNotFoundError):
        return file.stat().st_mode & 0o777
    return _usual_mode()


def _usual_mode() -> int:
    now = os.umask(0)
    os.umask(now)
    return 0o666 & ~now


@contextmanager
def _opened(root: Path, folders: list[str] | tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """Open a folder below `root`, one part of its path at a time."""
    here, path = os.open(root, _FOLDER), root
    try:
        for name in folders:
            path /= name
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=here)
            try:
                following = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            except NotADirectoryError as error:
                raise FileExistsError(
                    errno.EEXIST, "it is a link or a file, not a folder", str(path)
                ) from error
            os.close(here)
            here = following
        yield here
    finally:
        os.close(here)
