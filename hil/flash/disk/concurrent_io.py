"""Keep a disk busy: read ranges one ahead, and write two chunks at a time.

Measured on a loop device: a quarter of an image in chunks of 1 MiB takes a third to a half less time, one in
chunks of 4 MiB about as long. The next chunk is read while both are being written.
"""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from hil.flash.disk.disk import ALIGNED_BYTES, allocate_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from concurrent.futures import Future
    from types import TracebackType

    from hil.flash.chunks import ImageChunk
    from hil.flash.disk.disk import Disk

__all__ = ["ParallelWriter", "Range", "read_ahead"]


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


_AT_ONCE = 2


class ParallelWriter:
    """Writes chunks in two threads; its `with` block ends after all writes have ended.

    Args:
        disk: The disk.
        give_back: Called with each chunk that was written.
    """

    def __init__(self, disk: Disk, give_back: Callable[[ImageChunk], None]) -> None:
        self._disk = disk
        self._give_back = give_back
        self._writers = ThreadPoolExecutor(_AT_ONCE, "writes")
        self._under_way: deque[tuple[Future[None], ImageChunk]] = deque()

    def write(self, chunk: ImageChunk) -> None:
        """Start to write a chunk; returns when at most two are being written.

        Raises:
            FlashError, StickLostError: This chunk or an earlier one failed; the error says at which byte.
        """
        alone = bool(chunk.offset % ALIGNED_BYTES or chunk.size_bytes % ALIGNED_BYTES)
        if alone:  # it shares a block with its neighbour, so the neighbour must be on the disk first
            self.finish()
        writing = self._writers.submit(self._disk.write, chunk.buffer, chunk.offset, chunk.size_bytes)
        self._under_way.append((writing, chunk))
        while len(self._under_way) > (0 if alone else _AT_ONCE):
            self._end_oldest()

    def finish(self) -> None:
        """Wait until all chunks are written.

        Raises:
            FlashError, StickLostError: As `write`.
        """
        while self._under_way:
            self._end_oldest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self._writers.shutdown()

    def _end_oldest(self) -> None:
        writing, chunk = self._under_way.popleft()
        writing.result()
        self._give_back(chunk)
