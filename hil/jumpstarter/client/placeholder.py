"""A file that stands for a stick on another machine: its name and size, and nobody can write to it.

A file of mode 0 stops users, not root. So it is a memory file that is sealed: the kernel refuses every write
to it with EPERM, whoever asks, instead of keeping bytes that never reach the stick.
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
    """One such file, a link that is there until `close`.

    Args:
        node: Where it appears.
        label: What the other machine is called; the file says so to whoever reads it.
        size_bytes: The stick's size.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, node: Path, label: str, size_bytes: int) -> None:
        self._node = node
        self._file = os.memfd_create("hil-far-stick", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(self._file, _TEXT.format(label=label).encode())
        os.ftruncate(self._file, size_bytes)
        os.fchmod(self._file, 0)
        fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, _SEALS)
        fresh = node.with_name(".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"/proc/{os.getpid()}/fd/{self._file}")
        fresh.rename(node)

    def close(self) -> None:
        """Let it vanish; harmless when repeated."""
        self._node.unlink(missing_ok=True)
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
