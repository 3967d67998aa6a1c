"""A text file below a folder, written as a whole and without following a link anywhere below that folder."""

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

__all__ = ["has_folder_below", "write_below"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_below(root: Path, name: str, text: str) -> Path:
    """Write a text file of mode 0644 below `root` and return its path; missing folders are made.

    Args:
        root: A folder; it may be a link.
        name: The file's path from there, without `..`.
        text: All of it.

    Raises:
        FileExistsError: Something below `root` that is in its way is a link.
        OSError: It could not be written.
    """
    *folders, last = Path(name).parts
    with _opened(root, folders, make=True) as folder:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(last, dir_fd=folder).st_mode):
                raise FileExistsError(errno.EEXIST, "it is a link or a folder, not a file", str(root / name))
        beside = f".{last}.{secrets.token_hex(8)}"
        try:
            with open(os.open(beside, _NEW, 0o600, dir_fd=folder), "w", encoding="utf-8") as opened:  # noqa: PTH123
                opened.write(text)
                opened.flush()
                os.fchmod(opened.fileno(), 0o644)
                os.fsync(opened.fileno())
            os.rename(beside, last, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)
            raise
    return root / name


def has_folder_below(root: Path, name: str) -> bool:
    """Return True if there is a folder of that path below `root`, without any link on the way."""
    try:
        with _opened(root, Path(name).parts):
            return True
    except OSError:
        return False


@contextmanager
def _opened(root: Path, folders: list[str] | tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """Open a folder below `root`, one name at a time."""
    here, way = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), root
    try:
        for name in folders:
            way /= name
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=here)
            try:
                following = os.open(name, _FOLDER, dir_fd=here)
            except NotADirectoryError as error:
                raise FileExistsError(
                    errno.EEXIST, "it is a link or a file, not a folder", str(way)
                ) from error
            os.close(here)
            here = following
        yield here
    finally:
        os.close(here)
