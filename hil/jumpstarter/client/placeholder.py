"""A read-only file in the place of a stick that is on another machine, with the stick's name and size.

Bytes written to such a file would never reach the stick. Mode 0 does not stop root, so the file is a sealed
memory file: the kernel refuses every write to it with EPERM.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Placeholder"]

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_TEXT = "This stick is at {label}.\nIts bytes are not in this file: use storage.flash() and storage.read().\n"


class Placeholder:
    """A placeholder for one stick; `close` removes it.

    Args:
        node: Path of the placeholder, a symbolic link.
        label: Name of the other machine; the file's text says it.
        size_bytes: The stick's size.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, node: Path, label: str, size_bytes: int) -> None:
        self._node = node
        self._file = os.memfd_create("hil-remote-stick", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(self._file, _TEXT.format(label=label).encode())
        os.ftruncate(self._file, size_bytes)
        os.fchmod(self._file, 0)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, _SEALS)
        fresh = node.with_name(".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"/proc/{os.getpid()}/fd/{self._file}")
        fresh.rename(node)

    def close(self) -> None:
        """Remove the placeholder; harmless when repeated."""
        self._node.unlink(missing_ok=True)
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
