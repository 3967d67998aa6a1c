"""Read ranges of a disk one ahead, so that the disk does not wait while the caller handles a range."""

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
    """Part of a disk, at most `CHUNK_BYTES` long."""

    @property
    def offset(self) -> int:
        """First byte."""
        ...

    @property
    def size_bytes(self) -> int:
        """Length."""
        ...


Wanted = TypeVar("Wanted", bound=Range)


def read_ahead(disk: Disk, wanted: Iterable[Wanted]) -> Generator[tuple[Wanted, memoryview]]:
    """Yield each range with its bytes, which are valid until the next range is taken.

    Close the generator to stop reading early; it returns when no read is running any more.

    Raises:
        StorageError, StickLostError: As `Disk.read`; errors of `wanted` are passed on.
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
