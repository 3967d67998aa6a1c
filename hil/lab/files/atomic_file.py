"""A file that is replaced as a whole: who reads it sees the old one or the new one, whoever is killed."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(file: Path, text: str, *, mode: int | None = None) -> None:
    """Write a text file beside the one of that name, and put it in its place once it is on the disk.

    A link is followed: what it leads to is replaced, and it stays a link.

    Args:
        file: Which.
        text: All of it.
        mode: Its permissions; None: those of the file that is replaced, else the usual ones.

    Raises:
        OSError: It could not be written; the old file is as it was.
    """
    file = file.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    beside = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as opened:  # noqa: PTH123 - a descriptor
            opened.write(text)
            opened.flush()
            os.fchmod(descriptor, _mode_of(file) if mode is None else mode)
            os.fsync(descriptor)
        beside.replace(file)
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
        raise


def _mode_of(file: Path) -> int:
    with suppress(FileNotFoundError):
        return file.stat().st_mode & 0o777
    now = os.umask(0)
    os.umask(now)
    return 0o666 & ~now
