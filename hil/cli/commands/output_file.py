"""Check a file that a user named for a command's output: an existing one is replaced only with --force."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_output_file", "is_redirected_stream"]


def check_output_file(file: Path, *, force: bool) -> None:
    """Refuse a file that cannot be written, or would be replaced without --force.

    A new file is made and removed again, so that no board is used for a file that cannot be made.

    Raises:
        UsageError: The path is a folder, in no folder, or exists, or the file cannot be made.
    """
    try:
        _check(file, force=force)
        if not file.exists():
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            file.unlink()
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written",
            why=str(error.strerror),
            remedy="give the path of a new file, in a folder that you may write to",
        ) from error


def _check(file: Path, *, force: bool) -> None:
    if file.is_dir() or not file.parent.is_dir():
        raise UsageError(
            f"{file} cannot be written",
            why="it is a folder" if file.is_dir() else f"there is no folder {file.parent}",
            remedy="give the path of a new file",
        )
    if file.exists() and not (force and file.is_file()):
        raise UsageError(
            f"{file} exists already",
            why="it would be replaced" if file.is_file() else "it is no plain file",
            remedy="another name, or --force" if file.is_file() else "another name",
        )


def is_redirected_stream(file: Path) -> bool:
    """Return True if a path is the file of standard output or error: the shell has opened it, as asked."""
    with suppress(OSError):
        return any(os.path.samestat(file.stat(), os.fstat(stream)) for stream in (1, 2))
    return False
