"""Images without a map: a raw file, whose holes are left out, or an archive, all of whose bytes count."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.image import Extent
from hil.flash.stream import PIECE_BYTES, opened, unreadable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hil.flash.image import Room

__all__ = ["CompressedImage", "RawImage", "data_ranges"]

_AHEAD_BYTES = 8 * 1024 * 1024
"""How much the kernel reads in advance, while what was read is being written."""


def data_ranges(descriptor: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has data: offset and length in bytes; holes read as zeros and are left out."""
    at = 0
    while at < size_bytes:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        at = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size_bytes)
        if begin < at:
            yield begin, at - begin


class RawImage:
    """A file that is the disk's bytes, an `Image`.

    A hole was never written by whoever made the file; it is no part of the image, and what the stick holds
    there stays.
    """

    is_compressed = False

    def __init__(self, path: Path) -> None:
        self.label = path.name
        self.source_bytes = path.stat().st_size
        self._path = path

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.source_bytes

    @property
    def mapped_bytes(self) -> int:
        """How much of it is no hole."""
        try:
            with self._path.open("rb") as file:
                return sum(length for _, length in data_ranges(file.fileno(), self.source_bytes))
        except OSError as error:
            raise unreadable(self.label, error) from error

    def extents(self, room: Room | None = None) -> Generator[Extent]:
        """Read what is no hole; see `Image`."""
        try:
            with self._path.open("rb", buffering=0) as file:
                yield from self._read(file.fileno(), room)
        except OSError as error:
            raise unreadable(self.label, error) from error

    def _read(self, descriptor: int, room: Room | None) -> Iterator[Extent]:
        for begin, length in data_ranges(descriptor, self.source_bytes):
            at, end = begin, begin + length
            while at < end:
                into = room(at) if room else memoryview(bytearray(PIECE_BYTES))
                came = os.preadv(descriptor, [into[: end - at]], at)
                if not came:
                    raise self._changed()
                at += came
                with suppress(OSError):  # it is advice
                    os.posix_fadvise(descriptor, at, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
                yield Extent(at - came, into[:came])
        if os.fstat(descriptor).st_size != self.source_bytes:
            raise self._changed()

    def _changed(self) -> ImageError:
        return ImageError(
            f"{self.label} changed while it was read",
            why=f"it had {self.source_bytes} bytes",
            remedy="wait until it is complete, then begin again",
        )


class CompressedImage:
    """An archive of a disk's bytes, an `Image`. Zeros in it are data: a stick holds other bytes there."""

    mapped_bytes = None
    is_compressed = True

    def __init__(self, path: Path) -> None:
        self.label = path.name
        self.source_bytes = path.stat().st_size
        self._path = path
        self._size_bytes: int | None = None

    @property
    def size_bytes(self) -> int | None:
        """Size of what is in it; None until it was read to its end once."""
        return self._size_bytes

    def extents(self, _room: Room | None = None) -> Generator[Extent]:
        """Read everything; see `Image`."""
        with opened(self._path) as stream:
            while data := stream.read(PIECE_BYTES):
                yield Extent(stream.at - len(data), memoryview(data))
            self._size_bytes = stream.at
        if not self._size_bytes:
            raise ImageError(
                f"{self.label} holds no bytes",
                why="the archive is whole, and empty",
                remedy="fetch or make it again",
            )
