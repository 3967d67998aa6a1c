"""An image in pieces. An archive is decompressed by a thread of its own, while another one writes.

Any other file is read by whoever takes the pieces: the kernel reads ahead by itself, and a thread would cost
more than it spares. Memory is bounded: a few pieces go round. An error of the thread is raised where pieces
are taken; when these are no longer wanted it ends before the `with` block does.
"""

from __future__ import annotations

import queue
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from hil.flash.disk.disk import ALIGNED_BYTES, PIECE_BYTES, Memory, memory
from hil.flash.formats.image import Hole
from hil.flash.reader_thread import StoppableThread, StoppedError, raise_if_stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from hil.flash.formats.image import Extent, Image, ProvenLater

__all__ = ["HEAD_BYTES", "Piece", "Pieces"]

HEAD_BYTES = 1024 * 1024
"""Where a disk keeps what makes it boot: MBR, GPT, ISO 9660. No piece reaches across the end of it."""

_AT_ONCE = 6
"""One that is filled, one that is complete, two that are counted, two that are written: with fewer, a thread
waits for itself."""


@dataclass(slots=True)
class Piece:
    """Adjacent bytes of an image.

    Attributes:
        memory: Has them, from `offset % ALIGNED_BYTES` on.
        offset: Where they belong.
        size_bytes: How many there are.
        counted: Each is done once somebody else has read a part of it.
    """

    memory: Memory = field(repr=False)
    offset: int
    size_bytes: int = 0
    counted: list[Future[Any]] = field(default_factory=list, repr=False)

    @property
    def data(self) -> memoryview:
        """The bytes."""
        lead = self.offset % ALIGNED_BYTES
        return memoryview(self.memory)[lead : lead + self.size_bytes]

    @property
    def end(self) -> int:
        """Where the next byte would belong."""
        return self.offset + self.size_bytes

    def room(self) -> int:
        """How many more bytes it can take."""
        limit = HEAD_BYTES if self.offset < HEAD_BYTES else self.offset + PIECE_BYTES
        return limit - self.end

    def free(self) -> memoryview:
        """Memory for the bytes that follow."""
        at = self.offset % ALIGNED_BYTES + self.size_bytes
        return memoryview(self.memory)[at : at + self.room()]


class Pieces:
    """The pieces and holes of an image, in rising order. Whoever takes a piece gives it back when it is done.

    Args:
        image: Is read from its start to its end.
        proven_later: See `Image.extents`.
        at_once: How many there is memory for.
    """

    def __init__(
        self, image: Image, proven_later: ProvenLater | None = None, at_once: int = _AT_ONCE
    ) -> None:
        self._image = image
        self._proven_later = proven_later
        self._at_once = at_once
        self._piece: Piece | None = None
        self._complete: list[Piece | Hole] = []
        self._free: queue.SimpleQueue[Memory | None] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[Piece | Hole | BaseException | None] = queue.SimpleQueue()
        self._thread: StoppableThread | None = None

    def __enter__(self) -> Self:
        for _ in range(self._at_once):
            self._free.put(memory())
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

    def __iter__(self) -> Iterator[Piece | Hole]:
        """Take the pieces, once.

        Raises:
            ImageError: The image is damaged.
        """
        return self._assembled() if self._thread is None else self._passed_on()

    def give_back(self, piece: Piece) -> None:
        """Let the memory of a piece be used again, once nobody else reads it."""
        for counted in piece.counted:
            with suppress(CancelledError):
                counted.exception()  # whoever counts raises it
        self._free.put(piece.memory)

    def _passed_on(self) -> Iterator[Piece | Hole]:
        """Yield what the thread has made."""
        while (came := self._full.get()) is not None:
            if isinstance(came, BaseException):
                raise came
            yield came

    def _work(self) -> None:
        try:
            for piece in self._assembled():
                self._full.put(piece)
            self._full.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the pieces are taken
            self._full.put(error)

    def _assembled(self) -> Iterator[Piece | Hole]:
        with closing(self._image.extents(self._room, self._proven_later)) as extents:
            for extent in extents:
                if isinstance(extent, Hole):
                    self._end_piece()
                    self._complete.append(extent)
                    yield from self._taken_out()
                else:
                    yield from self._take(extent)
        self._end_piece()
        yield from self._taken_out()

    def _end_piece(self) -> None:
        if self._piece is not None:
            self._complete.append(self._piece)
            self._piece = None

    def _room(self, offset: int) -> memoryview:
        """Memory for what comes at an offset."""
        return self._piece_at(offset).free()

    def _piece_at(self, offset: int) -> Piece:
        """The piece that goes on at an offset: this one, or the next."""
        piece = self._piece
        if piece is None or piece.end != offset or not piece.room():
            given = self._free.get()
            raise_if_stopped()
            if given is None:
                raise StoppedError
            self._end_piece()
            self._piece = piece = Piece(given, offset)
        return piece

    def _take(self, extent: Extent) -> Iterator[Piece | Hole]:
        """Put an extent into its pieces, and yield those that are complete."""
        offset, data = extent.offset, extent.data
        if self._piece is not None and data.obj is self._piece.memory:  # it was read into its place
            self._piece.size_bytes += len(data)
            if extent.counted is not None:
                self._piece.counted.append(extent.counted)
            data = data[:0]
        while data:
            piece = self._piece_at(offset)
            taken = min(len(data), piece.room())
            piece.free()[:taken] = data[:taken]
            piece.size_bytes += taken
            offset, data = offset + taken, data[taken:]
            yield from self._taken_out()
        yield from self._taken_out()

    def _taken_out(self) -> Iterator[Piece | Hole]:
        while self._complete:
            yield self._complete.pop(0)
