"""Write two chunks to a disk at a time, so that the disk never waits for the next request.

Measured on a loop device: a quarter of an image in chunks of 1 MiB takes a third to a half less time, one in
chunks of 4 MiB about as long. The next chunk is read while both are being written.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from hil.flash.disk.disk import ALIGNED_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

    from hil.flash.chunks import ImageChunk
    from hil.flash.disk.disk import Disk

__all__ = ["ParallelWriter"]

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
