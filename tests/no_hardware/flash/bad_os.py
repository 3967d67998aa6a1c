"""Fake system calls on an open disk, which fail as calls on a plain file never do."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BadOs", "Trouble"]

_SHORT_BYTES = 64 << 10
_ALIGNED_BYTES = 4096


@dataclass
class Trouble:
    """The faults of the disks in one folder.

    Attributes:
        write_bytes: So many more bytes are written, then each write fails with `error`; None: all of them.
        read_bytes: The same for reading.
        sync_fails: Whether the disk fails to confirm what it was given.
        short: Whether a transfer ends early, which is no failure.
        error: Number of the error.
    """

    write_bytes: int | None = None
    read_bytes: int | None = None
    sync_fails: bool = False
    short: bool = False
    error: int = errno.EIO

    def passing(self, kind: str, size_bytes: int) -> int:
        """Count a transfer and return how many bytes of it succeed; raises OSError."""
        left: int | None = getattr(self, kind)
        if left is None:
            return min(size_bytes, _SHORT_BYTES) if self.short else size_bytes
        passing = size_bytes if size_bytes <= left else left - left % _ALIGNED_BYTES
        if not passing:
            setattr(self, kind, 0)
            raise OSError(self.error, os.strerror(self.error))
        setattr(self, kind, left - passing)
        return passing


class BadOs:
    """Stands in for the module `os`; disks are told apart by where they are, so that threads may share it.

    Attributes:
        troubles: By the folder of nodes, as a string.
    """

    def __init__(self) -> None:
        self.troubles: dict[str, Trouble] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def pwrite(self, descriptor: int, data: memoryview, offset: int) -> int:
        passing = self._trouble(descriptor).passing("write_bytes", len(data))
        return os.pwrite(descriptor, data[:passing], offset)

    def preadv(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        (buffer,) = buffers
        passing = self._trouble(descriptor).passing("read_bytes", len(buffer))
        return os.preadv(descriptor, [buffer[:passing]], offset)

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        return os.pread(descriptor, self._trouble(descriptor).passing("read_bytes", length), offset)

    def fsync(self, descriptor: int) -> None:
        if self._trouble(descriptor).sync_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(descriptor)

    def _trouble(self, descriptor: int) -> Trouble:
        folder = os.path.dirname(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH120, PTH115 - no Path
        return self.troubles.get(folder, _NONE)


_NONE = Trouble()
