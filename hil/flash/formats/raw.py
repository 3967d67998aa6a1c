"""Images without a block map: a raw file, whose holes need not be read, or an archive of one."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.formats.content import SECTOR_BYTES, detect_footer
from hil.flash.formats.image import Extent, Hole
from hil.flash.formats.stream import MAX_READ_BYTES, ImageFile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hil.flash.formats.compression import Compression
    from hil.flash.formats.image import Allocate, SkipChecksums
    from hil.flash.progress import Progress

__all__ = ["CompressedImage", "RawImage", "data_ranges"]

_RAW_BYTES = 1024 * 1024
"""Size of a read if the caller gives no memory."""

_AHEAD_BYTES = 8 * 1024 * 1024
"""How far the kernel reads ahead while earlier bytes are being written."""


def data_ranges(descriptor: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield offset and length of the ranges of a file that hold data; the ranges between are holes."""
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
    """A file that holds the disk's bytes; an `Image`."""

    is_compressed = is_read_once = False

    def __init__(self, path: Path) -> None:
        self._file = ImageFile(path)
        self.remarks = self._file.remarks
        self.label = self._file.label
        self.source_bytes = self._file.size_bytes

    def check(self, _progress: Progress | None = None) -> None:
        """Check that the file is unchanged; see `Image`."""
        self._file.check_unchanged()

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.source_bytes

    @property
    def mapped_bytes(self) -> int:
        """Size of the file: holes matter, too."""
        return self.source_bytes

    def extents(
        self, allocate: Allocate | None = None, _skip_checksums: SkipChecksums | None = None
    ) -> Generator[Extent | Hole]:
        """Read the data between the holes; see `Image`."""
        with self._file.open(buffering=0) as file:
            yield from self._read(file.fileno(), allocate)

    def _read(self, descriptor: int, allocate: Allocate | None) -> Iterator[Extent | Hole]:
        at = 0
        for begin, length in (*data_ranges(descriptor, self.source_bytes), (self.source_bytes, 0)):
            if begin > at:
                yield Hole(at, begin - at)
            at, end = begin, begin + length
            while at < end:
                into = allocate(at) if allocate else memoryview(bytearray(_RAW_BYTES))
                came = os.preadv(descriptor, [into[: end - at]], at)
                if not came:
                    raise self._truncated_error()
                at += came
                with suppress(OSError):  # a hint to the kernel, which may ignore it
                    os.posix_fadvise(descriptor, at, _AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
                yield Extent(at - came, into[:came])

    def _truncated_error(self) -> ImageError:
        return ImageError(
            f"{self.label} is truncated",
            why=f"it ends before its {self.source_bytes} bytes",
            remedy="wait until it is complete, then begin again",
        )


class CompressedImage:
    """An archive of a disk's bytes; an `Image`. Zeros in it are data, since the stick may hold other bytes.

    Args:
        path: The archive.
        compression: Its compression format.
    """

    mapped_bytes = None
    is_compressed = True

    def __init__(self, path: Path, compression: Compression) -> None:
        self._file = ImageFile(path)
        self.label = self._file.label
        self.source_bytes = self._file.size_bytes
        self.remarks = self._file.remarks
        self._size_bytes: int | None = None
        self.is_read_once = compression.is_slow

    def check(self, _progress: Progress | None = None) -> None:
        """Check that the file is unchanged; see `Image`."""
        self._file.check_unchanged()

    @property
    def size_bytes(self) -> int | None:
        """Size of the content; None until it was read to its end once."""
        return self._size_bytes

    def extents(
        self, _allocate: Allocate | None = None, _skip_checksums: SkipChecksums | None = None
    ) -> Generator[Extent]:
        """Read everything; see `Image`."""
        end = b""
        with self._file.stream() as stream:
            while data := stream.read(MAX_READ_BYTES):
                yield Extent(stream.at - len(data), memoryview(data))
                end = data[-SECTOR_BYTES:]
            self._size_bytes = stream.at
        footer = detect_footer(end)
        remark = f"what is in {self.label} is {footer.words}" if footer else ""
        if remark and remark not in self.remarks:
            self.remarks.append(remark)
        if not self._size_bytes:
            raise ImageError(
                f"{self.label} holds no bytes",
                why="the archive is whole, and empty",
                remedy="fetch or make it again",
            )
