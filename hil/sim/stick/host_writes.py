"""What a process of the host wrote to the stick's file, and what of it a bad stick keeps.

A plain file keeps whatever is written, so a bad stick is played afterwards: the bytes from before are kept
aside while a host has the stick, and when it loses the stick the faults go over what has changed. As with a
real one the writer is told that all went well, its page cache agrees, and only a stick that was enumerated
anew shows what is true.
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
    """What has changed in a stick's file since `begin`, in pages of 4 KiB.

    A page that was written over with its own content counts as not written.
    """

    def __init__(self, file: StickFile, faults: StickFaults) -> None:
        self._file = file
        self._faults = faults
        self._before: int | None = None
        self._seen_ns = 0

    def begin(self) -> None:
        """Keep the bytes of now, if a fault will need them; harmless when they are kept already."""
        if self._before is None and self._faults.spoils_writes:
            with tempfile.TemporaryFile(dir=self._file.path.parent) as before:
                self._before = os.dup(before.fileno())
            self._file.copy_to(self._before)

    def end(self) -> None:
        """The host has lost the stick: what the faults took away is gone from the file."""
        if self._before is None:
            return
        if self._faults.spoils_writes:
            for offset, old, new in self._changes(self._before):
                self._apply_faults(offset, old, new)
        os.close(self._before)
        self._before = None

    def reached_removal(self) -> bool:
        """Whether so much was written that the stick is to be pulled out now."""
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
        """Offset, old and new bytes of every page that differs, in rising order."""
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
