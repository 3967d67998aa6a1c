"""Read an image in chunks. An archive is decompressed in a thread of its own while another thread writes.

Any other file is read by the thread that takes the chunks: the kernel reads ahead by itself, and a second
thread would cost more than it saves. Memory is bounded by a fixed number of buffers. An error of the reader
thread is raised in the thread that takes the chunks. The reader thread ends before the `with` block does.
"""

from __future__ import annotations

import queue
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from hil.flash.disk.disk import ALIGNED_BYTES, CHUNK_BYTES, Buffer, allocate_buffer
from hil.flash.formats.image import Hole
from hil.flash.reader_thread import StoppableThread, StoppedError, raise_if_stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from hil.flash.formats.image import Extent, Image, SkipChecksums

__all__ = ["BOOT_REGION_BYTES", "ChunkReader", "ImageChunk"]

BOOT_REGION_BYTES = 1024 * 1024
"""First part of a disk, which holds what makes it boot: MBR, GPT, ISO 9660. No chunk crosses its end."""

_BUFFERS = 6
"""One being filled, one complete, two being hashed, two being written: with fewer, a thread would wait."""


@dataclass(slots=True)
class ImageChunk:
    """Adjacent bytes of an image.

    Attributes:
        buffer: Holds the bytes, from `offset % ALIGNED_BYTES` on.
        offset: Position of the first byte in the image.
        size_bytes: Number of bytes.
        pending_checks: Futures that must finish before the buffer is reused: other threads read the bytes.
    """

    buffer: Buffer = field(repr=False)
    offset: int
    size_bytes: int = 0
    pending_checks: list[Future[Any]] = field(default_factory=list, repr=False)

    @property
    def data(self) -> memoryview:
        """The bytes."""
        lead = self.offset % ALIGNED_BYTES
        return memoryview(self.buffer)[lead : lead + self.size_bytes]

    @property
    def end(self) -> int:
        """Position of the byte after the last one."""
        return self.offset + self.size_bytes

    def room(self) -> int:
        """Return how many more bytes fit."""
        limit = BOOT_REGION_BYTES if self.offset < BOOT_REGION_BYTES else self.offset + CHUNK_BYTES
        return limit - self.end

    def free(self) -> memoryview:
        """Return the memory for the bytes that follow."""
        at = self.offset % ALIGNED_BYTES + self.size_bytes
        return memoryview(self.buffer)[at : at + self.room()]


class ChunkReader:
    """The chunks and holes of an image, in rising order. Call `give_back` when a chunk is done.

    Args:
        image: The image; it is read from its start to its end.
        skip_checksums: See `Image.extents`.
        buffers: How many chunks there is memory for.
    """

    def __init__(
        self, image: Image, skip_checksums: SkipChecksums | None = None, buffers: int = _BUFFERS
    ) -> None:
        self._image = image
        self._skip_checksums = skip_checksums
        self._buffers = buffers
        self._chunk: ImageChunk | None = None
        self._complete: list[ImageChunk | Hole] = []
        self._free: queue.SimpleQueue[Buffer | None] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[ImageChunk | Hole | BaseException | None] = queue.SimpleQueue()
        self._thread: StoppableThread | None = None

    def __enter__(self) -> Self:
        for _ in range(self._buffers):
            self._free.put(allocate_buffer())
        if self._image.is_compressed:
            name = f"reads {self._image.label}"
            self._thread = StoppableThread(target=self._work, name=name, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._free.put(None)
        if self._thread is not None:
            self._thread.stop()
            self._thread.join()

    def __iter__(self) -> Iterator[ImageChunk | Hole]:
        """Yield the chunks and holes; works only once.

        Raises:
            ImageError: The image is damaged.
        """
        return self._assemble() if self._thread is None else self._from_thread()

    def give_back(self, chunk: ImageChunk) -> None:
        """Allow the memory of a chunk to be used again, after all other threads have read it."""
        for check in chunk.pending_checks:
            with suppress(CancelledError):
                check.exception()  # waits; the thread that checks raises the error
        self._free.put(chunk.buffer)

    def _from_thread(self) -> Iterator[ImageChunk | Hole]:
        """Yield what the reader thread has made."""
        while (made := self._full.get()) is not None:
            if isinstance(made, BaseException):
                raise made
            yield made

    def _work(self) -> None:
        try:
            for chunk in self._assemble():
                self._full.put(chunk)
            self._full.put(None)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that takes the chunks
            self._full.put(error)

    def _assemble(self) -> Iterator[ImageChunk | Hole]:
        with closing(self._image.extents(self._allocate, self._skip_checksums)) as extents:
            for extent in extents:
                if isinstance(extent, Hole):
                    self._finish_chunk()
                    self._complete.append(extent)
                    yield from self._pop_complete()
                else:
                    yield from self._take(extent)
        self._finish_chunk()
        yield from self._pop_complete()

    def _finish_chunk(self) -> None:
        if self._chunk is not None:
            self._complete.append(self._chunk)
            self._chunk = None

    def _allocate(self, offset: int) -> memoryview:
        """Return memory for the bytes at an offset."""
        return self._chunk_at(offset).free()

    def _chunk_at(self, offset: int) -> ImageChunk:
        """Return the chunk that continues at an offset: the present one, or a new one."""
        chunk = self._chunk
        if chunk is None or chunk.end != offset or not chunk.room():
            buffer = self._free.get()
            raise_if_stopped()
            if buffer is None:
                raise StoppedError
            self._finish_chunk()
            self._chunk = chunk = ImageChunk(buffer, offset)
        return chunk

    def _take(self, extent: Extent) -> Iterator[ImageChunk | Hole]:
        """Put an extent into chunks, and yield those that are complete."""
        offset, data = extent.offset, extent.data
        if self._chunk is not None and data.obj is self._chunk.buffer:  # it was read straight into the chunk
            self._chunk.size_bytes += len(data)
            if extent.pending_check is not None:
                self._chunk.pending_checks.append(extent.pending_check)
            data = data[:0]
        while data:
            chunk = self._chunk_at(offset)
            size_bytes = min(len(data), chunk.room())
            chunk.free()[:size_bytes] = data[:size_bytes]
            chunk.size_bytes += size_bytes
            offset, data = offset + size_bytes, data[size_bytes:]
            yield from self._pop_complete()
        yield from self._pop_complete()

    def _pop_complete(self) -> Iterator[ImageChunk | Hole]:
        while self._complete:
            yield self._complete.pop(0)
