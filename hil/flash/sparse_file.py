"""A file writer that leaves holes in place of zeros."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hil.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["SparseFile"]

_HOLE_BYTES = 4096
_ZEROS = bytes(_HOLE_BYTES)
_NAME_LETTERS = 40
"""Letters of the file's name that the unfinished file's name repeats: a name has at most 255 bytes."""


class SparseFile:
    """A file that is written from its start, under another name until it is complete.

    Args:
        path: The final path; links are followed, and a plain file with that name is replaced.

    Raises:
        StorageError: The file cannot be created or written; raised by each method.
    """

    def __init__(self, path: Path) -> None:
        self._given = path
        with _as_storage_error(path):
            self._path = Path(os.path.realpath(path))
        self._unfinished = self._path.with_name(f".{path.name[:_NAME_LETTERS]}.{os.getpid()}.part")
        self._at = 0

    def __enter__(self) -> Self:
        """Create the unfinished file; refuse to replace anything but a plain file."""
        with _as_storage_error(self._given):
            if self._path.exists() and not self._path.is_file():
                raise FileExistsError(errno.EEXIST, "what has that name is no plain file")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._unfinished, flags, 0o666)
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; whole blocks of zeros become holes."""
        view = memoryview(data)
        begin: int | None = None
        for offset in range(0, len(view), _HOLE_BYTES):
            is_hole = bytes(view[offset : offset + _HOLE_BYTES]) == _ZEROS
            if is_hole and begin is not None:
                self._put(view[begin:offset], begin)
                begin = None
            elif not is_hole and begin is None:
                begin = offset
        if begin is not None:
            self._put(view[begin:], begin)
        self._at += len(view)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with _as_storage_error(self._given):
                    os.ftruncate(self._descriptor, self._at)
                    os.fsync(self._descriptor)
                    self._unfinished.replace(self._path)
        finally:
            os.close(self._descriptor)
            self._unfinished.unlink(missing_ok=True)

    def _put(self, data: memoryview, offset: int) -> None:
        at = self._at + offset
        with _as_storage_error(self._given):
            while data:
                written = os.pwrite(self._descriptor, data, at)
                data, at = data[written:], at + written


@contextmanager
def _as_storage_error(path: Path) -> Iterator[None]:
    """Raise an OSError of the block as a StorageError about the path."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be written",
            why=getattr(error, "strerror", None) or str(error),
            remedy="give a path in a folder that you may write to, with room for what the stick holds",
            errno=getattr(error, "errno", None),
        ) from error
