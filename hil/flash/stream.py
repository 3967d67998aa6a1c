"""An image file as a stream of the bytes that belong on a disk: read on, or pass over."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.compression import Compression, Unpacked, compression_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["PIECE_BYTES", "ImageStream", "opened", "unreadable"]

PIECE_BYTES = 256 * 1024
"""The most that is read in one piece. For a decompressed MiB, Python asks the system for new memory each
time, and that costs more than zstd itself."""

_START_BYTES = 512


class ImageStream:
    """A file's bytes, decompressed where it is an archive.

    Attributes:
        compression: How the file is compressed; None: it is not.
        at: How many bytes were read or passed over.
    """

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file = file
        self._label = label
        self.compression: Compression | None = compression_of(file.peek(_START_BYTES))  # type: ignore[attr-defined]  # buffered
        self.at = 0
        self._unpacked = Unpacked(file, self.compression, label) if self.compression else None
        self._peeked = b""

    @property
    def is_slow(self) -> bool:
        """Whether reading takes longer than SHA-256 of what is read."""
        return self.compression is not None and self.compression.is_slow

    def peek(self, size_bytes: int) -> bytes:
        """Return the next bytes without taking them."""
        if len(self._peeked) < size_bytes:
            self._peeked += self._read(size_bytes - len(self._peeked))
        return self._peeked[:size_bytes]

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes; fewer only at the end.

        Raises:
            ImageError: The file is damaged, or the host cannot read it.
        """
        data, self._peeked = self._peeked[:size_bytes], self._peeked[size_bytes:]
        if len(data) < size_bytes:
            rest = self._read(size_bytes - len(data))
            data = data + rest if data else rest
        self.at += len(data)
        return data

    def exactly(self, size_bytes: int) -> bytes:
        """Return exactly that many bytes.

        Raises:
            ImageError: As `read`; or there are fewer.
        """
        data = self.read(size_bytes)
        if len(data) < size_bytes:
            raise self.too_short()
        return data

    def fill(self, view: memoryview) -> None:
        """Fill memory with the next bytes; of a file that is no archive without a copy.

        Raises:
            ImageError: As `exactly`.
        """
        if self._unpacked is not None or self._peeked:
            view[:] = self.exactly(len(view))
            return
        try:
            filled = self._file.readinto(view)  # type: ignore[attr-defined]  # buffered
        except OSError as error:
            raise unreadable(self._label, error) from error
        self.at += filled
        if filled < len(view):
            raise self.too_short()

    def skip(self, size_bytes: int) -> None:
        """Pass over bytes.

        Raises:
            ImageError: As `exactly`.
        """
        passed = min(len(self._peeked), size_bytes)
        self._peeked = self._peeked[passed:]
        self.at += passed
        size_bytes -= passed
        if self._unpacked is None and size_bytes:
            left = os.fstat(self._file.fileno()).st_size - self._file.tell()
            if left < size_bytes:
                raise self.too_short()
            self._file.seek(size_bytes, os.SEEK_CUR)
            self.at += size_bytes
            return
        while size_bytes:
            size_bytes -= len(self.exactly(min(size_bytes, PIECE_BYTES)))

    def too_short(self) -> ImageError:
        """What to raise when more was expected."""
        return ImageError(
            f"{self._label} is truncated",
            why=f"it ends after {self.at} bytes",
            remedy="fetch or make it again: it is not whole",
        )

    def _read(self, size_bytes: int) -> bytes:
        try:
            return (self._unpacked or self._file).read(size_bytes)
        except OSError as error:
            raise unreadable(self._label, error) from error


@contextmanager
def opened(path: Path) -> Iterator[ImageStream]:
    """Open an image file.

    Raises:
        ImageError: It cannot be.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path.name, error) from error
    with file:
        yield ImageStream(file, path.name)


def unreadable(label: str, error: OSError) -> ImageError:
    """What to raise for a file that the host cannot read."""
    return ImageError(
        f"{label} cannot be read",
        why=error.strerror or str(error),
        remedy="give the path of an image file that you may read",
    )
