"""What an image is called by its content, so that two builds of one name and size are told apart.

It is counted by a thread of its own, while the stick is read, over cells of 1 MiB, of which those without
anything but zeros do not count: holes, unmapped ranges and written zeros are the same, and so are an image
and its archive.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["ImageDigest"]

_CELL_BYTES: Final = 1024 * 1024
_ZEROS: Final = bytes(_CELL_BYTES)
_EMPTY: Final = hashlib.sha256(_ZEROS).digest()


class ImageDigest:
    """Counts an image's bytes as they are given, in rising order; use it in a `with` block."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "digest")
        self._cells = hashlib.sha256()
        self._cell = hashlib.sha256()
        self._at = 0

    def add(self, offset: int, data: memoryview) -> Future[None]:
        """Count what the image has at an offset; `data` must stay as it is until what is returned is done."""
        return self._worker.submit(self._add, offset, data)

    def result(self, image_bytes: int) -> str:
        """Wait until all is counted.

        Args:
            image_bytes: Size of the image, holes included.

        Returns:
            SHA-256, hexadecimal, of the image's size, and of number and SHA-256 of each cell.
        """
        return self._worker.submit(self._finish, image_bytes).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)

    def _add(self, offset: int, data: memoryview) -> None:
        self._go_to(offset)
        while data:
            part = data[: _CELL_BYTES - self._at % _CELL_BYTES]
            self._cell.update(part)
            self._advance(len(part))
            data = data[len(part) :]

    def _go_to(self, offset: int) -> None:
        """Count the zeros up to an offset; cells that have nothing else are passed over."""
        within = self._at % _CELL_BYTES
        if within and offset > self._at:
            zeros = min(_CELL_BYTES - within, offset - self._at)
            self._cell.update(_ZEROS[:zeros])
            self._advance(zeros)
        if offset > self._at:
            self._at = offset - offset % _CELL_BYTES
            self._cell.update(_ZEROS[: offset - self._at])
            self._at = offset

    def _advance(self, size_bytes: int) -> None:
        self._at += size_bytes
        if self._at % _CELL_BYTES == 0:
            if self._cell.digest() != _EMPTY:
                self._cells.update(b"%d %b\n" % (self._at // _CELL_BYTES - 1, self._cell.digest()))
            self._cell = hashlib.sha256()

    def _finish(self, image_bytes: int) -> str:
        self._go_to(-(-self._at // _CELL_BYTES) * _CELL_BYTES)
        self._cells.update(b"%d" % image_bytes)
        return self._cells.hexdigest()
