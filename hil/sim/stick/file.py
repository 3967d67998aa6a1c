"""The bytes of a simulated stick: a sparse file, and who may write to it.

The host's device node is this very file, so a process that keeps it open could go on writing after the
mux has moved, which no real stick allows. When the host loses the stick the file is therefore handed over:
the DUT goes on with a new file of the same bytes, and whoever kept the old one open writes what nobody reads.

What a plain file cannot show: a write that is under way when the mux moves succeeds here, where Linux
answers ENOSPC (or EIO with O_DIRECT); and no read or write of it ever fails. Both need a kernel's usb-storage
behind USB/IP. Writes that are lost or spoiled do reach a process that uses the file: see `host_writes`.
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
    """The stick's bytes, a `BlockStore`.

    Args:
        path: Of the file; it is made, or cut or grown to `size_bytes`, and kept when the simulator ends.
        size_bytes: A multiple of 512.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, size_bytes)

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes; fewer at the end."""
        return os.pread(self._fd, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Write; raises OSError (ENOSPC) beyond the end, as a disk does."""
        if offset + len(data) > self.size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.pwrite(self._fd, data, offset)

    def revoke_host_access(self) -> None:
        """Make sure that nobody but us can change the bytes from now on.

        A host process may also have made the file longer or shorter, which no stick lets it do.
        """
        if not _is_ours_alone(self._fd):
            self._move_to_new_file()
        os.ftruncate(self._fd, self.size_bytes)

    def has_data(self, offset: int, length: int) -> bool:
        """Whether anything but a hole is there."""
        return has_data(self._fd, offset, length)

    def copy_to(self, target: int) -> None:
        """Copy the bytes to an empty file's descriptor, holes included."""
        _copy(self._fd, target)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _move_to_new_file(self) -> None:
        fresh = self.path.with_suffix(".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        _copy(self._fd, fd)
        fresh.replace(self.path)
        os.close(self._fd)
        self._fd = fd


def has_data(descriptor: int, offset: int, length: int) -> bool:
    """Whether a file has anything but a hole there."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) < offset + length
    except OSError:  # ENXIO: only a hole is left
        return False


def _is_ours_alone(fd: int) -> bool:
    """Whether no other process has the file open: only then does Linux grant a write lease on it."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _copy(source: int, target: int) -> None:
    """Copy a file, its holes included; in no time where the file system can share blocks."""
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
