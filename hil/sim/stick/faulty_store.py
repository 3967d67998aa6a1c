"""A block store that applies the faults of a stick, and the same for what host processes wrote."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

from hil.sim.stick.file import BLOCK_BYTES, has_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.sim.stick.file import StickFile

__all__ = ["FaultyStore", "HostWrites", "StickFaults"]


def _ignore() -> None:
    """Do nothing: the default of `on_removed`."""


class StickFaults:
    """Active faults of one stick, on the host and on the DUT.

    Attributes:
        failing: Reads and writes fail with EIO after `after_bytes` more bytes.
        after_bytes: Number of bytes that still pass while `failing`.
        flip_every: One bit is flipped in every Nth written byte; 0 is never.
        drop_every: Every Nth written block keeps its old content; 0 is never.
        real_bytes: Size of a counterfeit stick, which loses writes beyond it; 0 is an honest stick.
        missing: The stick never appears on the host.
        remove_after: Number of written bytes after which the stick is pulled out; None is never.
        removed: The stick was pulled out.
        on_removed: Called when writes have reached `remove_after`.
    """

    def __init__(self) -> None:
        self.failing = False
        self.after_bytes = 0
        self.flip_every = 0
        self.drop_every = 0
        self.real_bytes = 0
        self.missing = False
        self.remove_after: int | None = None
        self.removed = False
        self.on_removed: Callable[[], None] = _ignore
        self._written = 0
        self._blocks = 0

    @property
    def spoils_writes(self) -> bool:
        """Whether a fault is active that may lose a write that reported success."""
        return bool(self.flip_every or self.drop_every or self.real_bytes or self.remove_after is not None)

    def pull_out(self, after_bytes: int) -> None:
        """Pull the stick out after `after_bytes` more written bytes; 0 is at once."""
        self.removed = not after_bytes
        self.remove_after = after_bytes or None

    def put_back(self) -> None:
        """Plug the stick in again, or cancel its removal."""
        self.removed = False
        self.remove_after = None

    def check_failing(self, length: int) -> None:
        """Count `length` read or written bytes; raise OSError (EIO) if the stick fails."""
        if not self.failing:
            return
        if length > self.after_bytes:
            self.after_bytes = 0
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.after_bytes -= length

    def bytes_before_removal(self, length: int) -> int:
        """Count `length` written bytes; return how many reach the stick, in whole blocks."""
        if self.removed:
            return 0
        if self.remove_after is None:
            return length
        passing = min(length, self.remove_after // BLOCK_BYTES * BLOCK_BYTES)
        self.remove_after -= passing
        if passing < length or not self.remove_after:
            self.removed, self.remove_after = True, None
            self.on_removed()
        return passing

    def stored_bytes(self, offset: int, new: bytes, old: bytes) -> bytes:
        """Return the content after `new` was written over `old`; both have the same length."""
        held = self._drop_blocks(self.flip_bits(new), old)
        if not self.real_bytes:
            return held
        real = max(0, self.real_bytes - offset)
        return held[:real] + old[real:]

    def flip_bits(self, data: bytes) -> bytes:
        """Return `data` with the flipped bits that are due."""
        if not self.flip_every:
            return data
        first = self.flip_every - 1 - self._written % self.flip_every
        self._written += len(data)
        spoiled = bytearray(data)
        for at in range(first, len(data), self.flip_every):
            spoiled[at] ^= 1
        return bytes(spoiled)

    def _drop_blocks(self, new: bytes, old: bytes) -> bytes:
        if not self.drop_every:
            return new
        first = self.drop_every - 1 - self._blocks % self.drop_every
        self._blocks += -(-len(new) // BLOCK_BYTES)
        held = bytearray(new)
        for at in range(first * BLOCK_BYTES, len(new), self.drop_every * BLOCK_BYTES):
            held[at : at + BLOCK_BYTES] = old[at : at + BLOCK_BYTES]
        return bytes(held)


class FaultyStore:
    """A `BlockStore` that applies the faults to a stick's bytes."""

    def __init__(self, store: StickFile, faults: StickFaults) -> None:
        self.size_bytes = store.size_bytes
        self._store = store
        self._faults = faults

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes; raise OSError (EIO) if the stick fails."""
        self._faults.check_failing(length)
        return self._store.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes; raise OSError (EIO) if the stick fails or is pulled out."""
        self._faults.check_failing(len(data))
        passing = self._faults.bytes_before_removal(len(data))
        old = self._store.read(offset, passing).ljust(passing, b"\0")
        self._store.write(offset, self._faults.stored_bytes(offset, data[:passing], old))
        if passing < len(data):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


_PAGE_BYTES = 4096
_SLICE_BYTES = 1 << 20


class HostWrites:
    """Apply a bad stick's faults to the bytes that host processes wrote to its file.

    A plain file keeps all writes, so the faults are applied later. While the host has the stick, a copy of
    the old bytes is kept. When the host loses the stick, the faults change the pages of 4 KiB that differ
    from the copy; a page that was overwritten with its own content counts as not written. As with a real
    stick, the writer gets no error and reads its own bytes back. The loss shows when the stick returns to the
    host.
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
