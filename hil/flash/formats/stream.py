"""An image file as a stream of decompressed bytes."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.formats.archive import UnpackedStream
from hil.flash.formats.compression import Compression, detect_compression
from hil.regular_file import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["MAX_READ_BYTES", "ImageFile", "ImageStream", "open_stream", "unreadable_error"]

MAX_READ_BYTES = 256 * 1024
"""The largest read. For each decompressed MiB, Python would ask the system for new memory, which costs more
time than zstd itself."""

_START_BYTES = 512


class ImageStream:
    """A file's bytes, decompressed if it is an archive.

    Attributes:
        compression: The file's compression format; None if it is not compressed.
        at: Number of bytes that were read or skipped.
    """

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file = file
        self._label = label
        self.compression: Compression | None = detect_compression(file.peek(_START_BYTES))  # type: ignore[attr-defined]  # buffered
        self.at = 0
        self._unpacked = UnpackedStream(file, self.compression, label) if self.compression else None
        self._peeked = b""

    @property
    def remarks(self) -> list[str]:
        """Notes for the user that are no errors; complete once the stream was read to its end."""
        return self._unpacked.remarks if self._unpacked else []

    @property
    def is_slow(self) -> bool:
        """Whether reading takes longer than SHA-256 of the bytes read."""
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

    def read_exactly(self, size_bytes: int) -> bytes:
        """Return exactly that many bytes.

        Raises:
            ImageError: As `read`; or there are fewer.
        """
        data = self.read(size_bytes)
        if len(data) < size_bytes:
            raise self.truncated_error()
        return data

    def readinto(self, view: memoryview) -> None:
        """Fill memory with the next bytes, without a copy if the file is no archive.

        Raises:
            ImageError: As `read_exactly`.
        """
        if self._unpacked is not None or self._peeked:
            view[:] = self.read_exactly(len(view))
            return
        try:
            filled = self._file.readinto(view)  # type: ignore[attr-defined]  # buffered
        except OSError as error:
            raise unreadable_error(self._label, error) from error
        self.at += filled
        if filled < len(view):
            raise self.truncated_error()

    def skip_hole(self, end: int) -> None:
        """Skip a hole of a sparse file that is no archive, up to `end` at most."""
        descriptor = self._file.fileno()
        before = os.lseek(descriptor, 0, os.SEEK_CUR)  # `_file` is buffered and relies on this position
        try:
            begin = os.lseek(descriptor, self.at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: there is only a hole up to the end of the file
                return
            begin = end
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)
        self.skip(min(begin, end) - self.at)

    def skip(self, size_bytes: int) -> None:
        """Skip bytes.

        Raises:
            ImageError: As `read_exactly`.
        """
        skipped = min(len(self._peeked), size_bytes)
        self._peeked = self._peeked[skipped:]
        self.at += skipped
        size_bytes -= skipped
        if self._unpacked is None and size_bytes:
            left = os.fstat(self._file.fileno()).st_size - self._file.tell()
            if left < size_bytes:
                raise self.truncated_error()
            self._file.seek(size_bytes, os.SEEK_CUR)
            self.at += size_bytes
            return
        while size_bytes:
            size_bytes -= len(self.read_exactly(min(size_bytes, MAX_READ_BYTES)))

    def truncated_error(self) -> ImageError:
        """Return the error for a stream that ends too early."""
        return ImageError(
            f"{self._label} is truncated",
            why=f"it ends after {self.at} bytes",
            remedy="fetch or make it again: it is not whole",
        )

    def _read(self, size_bytes: int) -> bytes:
        try:
            return (self._unpacked or self._file).read(size_bytes)
        except OSError as error:
            raise unreadable_error(self._label, error) from error


class ImageFile:
    """The file of an image. Each reader opens it here, which raises an error if the file has changed.

    Args:
        path: The file.

    Attributes:
        path: The file.
        label: Its name, for messages.
        size_bytes: Its size when this object was created.
        remarks: Notes for the user that are no errors, from all streams that were read to their end.

    Raises:
        ImageError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = path.name
        self.remarks: list[str] = []
        try:
            status = path.stat()
        except OSError as error:
            raise unreadable_error(self.label, error) from error
        self.size_bytes = status.st_size
        self._seen = _state(status)

    @contextmanager
    def open(self, buffering: int = -1) -> Iterator[BinaryIO]:
        """Open the file at its start.

        Raises:
            ImageError: The file cannot be read, or has changed.
        """
        try:
            file = open_regular(self.path, buffering)
        except OSError as error:
            raise unreadable_error(self.label, error) from error
        with file:
            self._check(os.fstat(file.fileno()))
            try:
                yield file
            except OSError as error:
                self._check(os.fstat(file.fileno()))
                raise unreadable_error(self.label, error) from error
            except ImageError as error:
                self._check(os.fstat(file.fileno()), error)
                raise
            self._check(os.fstat(file.fileno()))

    @contextmanager
    def stream(self) -> Iterator[ImageStream]:
        """Open the file as a stream; see `open`."""
        with self.open() as file:
            stream = ImageStream(file, self.label)
            yield stream
        self.remarks += [remark for remark in stream.remarks if remark not in self.remarks]

    def check_unchanged(self) -> None:
        """Check that the file is unchanged.

        Raises:
            ImageError: The file changed, or another file is in its place.
        """
        with suppress(OSError):
            self._check(self.path.stat())

    def _check(self, status: os.stat_result, cause: Exception | None = None) -> None:
        if _state(status) == self._seen:
            return
        size = f"it had {self.size_bytes} bytes and has {status.st_size}"
        raise ImageError(
            f"{self.label} changed while it was read",
            why=size
            if status.st_size != self.size_bytes
            else "it was written to, or another file took its place",
            remedy="wait until it is complete, then begin again",
        ) from cause


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Return values of which one differs after a file was changed or replaced."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def open_stream(path: Path) -> Iterator[ImageStream]:
    """Open an image file as a stream.

    Raises:
        ImageError: The file cannot be read.
    """
    with ImageFile(path).stream() as stream:
        yield stream


def unreadable_error(label: str, error: OSError) -> ImageError:
    """Return the error for a file that cannot be read."""
    return ImageError(
        f"{label} cannot be read",
        why=error.strerror or str(error),
        remedy="give the path of an image file that you may read",
    )
