"""Reads from a disk one piece ahead, so that it never waits for whoever looks at the last one."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from hil.flash.disk.disk import allocate_buffer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from hil.flash.disk.disk import Disk

__all__ = ["Range", "read_ahead"]


class Range(Protocol):
    """Part of a disk, not larger than a piece."""

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""
        ...

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        ...


Wanted = TypeVar("Wanted", bound=Range)


def read_ahead(disk: Disk, wanted: Iterable[Wanted]) -> Generator[tuple[Wanted, memoryview]]:
    """Read each range; what is yielded with it is valid until the next one is taken.

    Close it when the rest is not wanted; nothing is being read then any more.

    Raises:
        StorageError, StickLostError: As `Disk.read`; and whatever `wanted` raises.
    """
    turns = itertools.cycle((allocate_buffer(), allocate_buffer()))
    before = None
    with ThreadPoolExecutor(1, "reads") as reader:
        for one in wanted:
            reading = reader.submit(disk.read, next(turns), one.offset, one.size_bytes)
            if before is not None:
                yield before[0], before[1].result()
            before = one, reading
        if before is not None:
            yield before[0], before[1].result()
