"""Apply a bad stick's faults to the bytes that host processes wrote to its file.

A plain file keeps all writes, so the faults are applied later. While the host has the stick, a copy of the
old bytes is kept. When the host loses the stick, the faults change the bytes that differ from the copy. As
with a real stick, the writer gets no error and reads its own bytes back. The loss shows when the stick
returns to the host.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from hil.sim.stick.file import has_data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.stick.faults import StickFaults
    from hil.sim.stick.file import StickFile

__all__ = ["HostWrites"]

_PAGE_BYTES = 4096
_SLICE_BYTES = 1 << 20


class HostWrites:
    """Finds the changes to a stick's file since `begin`, in pages of 4 KiB.

    A page that was overwritten with its own content counts as not written.
    """

    def __init__(self, file: StickFile, faults: StickFaults) -> None:
        self._file = file
        self._faults = faults
        self._before: int | None = None
        self._seen_ns = 0

    def begin(self) -> None:
        """Copy the current bytes if an active fault needs them; do nothing if a copy exists."""
        if self._before is None and self._faults.spoils_writes:
            with tempfile.TemporaryFile(dir=self._file.path.parent) as before:
                self._before = os.dup(before.fileno())
            self._file.copy_to(self._before)

    def end(self) -> None:
        """Apply the faults to the file, because the host has lost the stick."""
        if self._before is None:
            return
        if self._faults.spoils_writes:
            for offset, old, new in self._changes(self._before):
                self._apply_faults(offset, old, new)
        os.close(self._before)
        self._before = None

    def reached_removal(self) -> bool:
        """Return True if the host has written the number of bytes after which the stick is pulled out."""
        left = self._faults.remove_after
        if left is None or self._before is None or not self._has_news():
            return False
        return sum(len(new) for _, _, new in self._changes(self._before)) >= left

    def _has_news(self) -> bool:
        changed_ns = self._file.path.stat().st_mtime_ns
        seen_ns, self._seen_ns = self._seen_ns, changed_ns
        return changed_ns != seen_ns

    def _apply_faults(self, offset: int, old: bytes, new: bytes) -> None:
        passing = self._faults.bytes_before_removal(len(new))
        held = self._faults.stored_bytes(offset, new[:passing], old[:passing]) + old[passing:]
        self._file.write(offset, held)

    def _changes(self, before: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield offset, old bytes and new bytes of each page that differs, in rising order."""
        for start in range(0, self._file.size_bytes, _SLICE_BYTES):
            length = min(_SLICE_BYTES, self._file.size_bytes - start)
            if not (self._file.has_data(start, length) or has_data(before, start, length)):
                continue
            old = os.pread(before, length, start)
            new = self._file.read(start, length)
            if old != new:
                yield from _differing(start, old, new.ljust(length, b"\0"))


def _differing(start: int, old: bytes, new: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    for at in range(0, len(old), _PAGE_BYTES):
        one, other = old[at : at + _PAGE_BYTES], new[at : at + _PAGE_BYTES]
        if one != other:
            yield start + at, one, other
