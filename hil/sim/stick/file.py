"""The bytes of a simulated stick in a sparse file.

The host's device node is this file. A process that keeps it open could write after the mux has moved, which
no real stick allows. Therefore, when the host loses the stick, its bytes move to a new file, which the DUT
uses. Later writes to the old file have no effect.

A plain file cannot show two things: a write during a move of the mux succeeds here, where Linux returns
ENOSPC (or EIO with O_DIRECT), and no read or write fails. Both need a kernel that drives the stick over
USB/IP. Lost and spoiled writes do show: see `HostWrites`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BLOCK_BYTES", "StickFile", "has_data"]

BLOCK_BYTES = 512
_FICLONE = 0x40049409


class StickFile:
    """A `BlockStore` in a file.

    Args:
        path: The file. It is created, or cut or extended to `size_bytes`, and stays when the simulator ends.
        size_bytes: A multiple of 512.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, size_bytes)

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes; fewer at the end of the file."""
        return os.pread(self._fd, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes; raise OSError (ENOSPC) beyond the end, as a disk does."""
        if offset + len(data) > self.size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.pwrite(self._fd, data, offset)

    def revoke_host_access(self) -> None:
        """Prevent host processes from changing the bytes from now on.

        Also restore the file's size, which a host process may have changed.
        """
        if not _is_ours_alone(self._fd):
            self._move_to_new_file()
        os.ftruncate(self._fd, self.size_bytes)

    def has_data(self, offset: int, length: int) -> bool:
        """Return True if the range holds data, not only a hole."""
        return has_data(self._fd, offset, length)

    def copy_to(self, target: int) -> None:
        """Copy the bytes, with holes, to the file descriptor of an empty file."""
        _copy(self._fd, target)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _move_to_new_file(self) -> None:
        fresh = self.path.with_suffix(".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        _copy(self._fd, fd)
        fresh.replace(self.path)
        os.close(self._fd)
        self._fd = fd


def has_data(descriptor: int, offset: int, length: int) -> bool:
    """Return True if a file holds data in this range, not only a hole."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) < offset + length
    except OSError:  # ENXIO: only a hole is left
        return False


def _is_ours_alone(fd: int) -> bool:
    """Return True if no other process has the file open: only then does Linux grant a write lease on it."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _copy(source: int, target: int) -> None:
    """Copy a file with its holes; share blocks if the file system can."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        return
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            at += os.sendfile(target, source, at, end - at)
