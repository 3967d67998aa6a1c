"""SHA-256 of an image by cells of 1 MiB: they prove what a stick holds of an archive, and they name an image.

A cell of which an image has only parts has zeros between them; what an image has nothing of is no cell.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

__all__ = ["EMPTY", "Cell", "CellCounter", "CellDigests", "Cells"]

_CELL_BYTES: Final = 1024 * 1024
_ZEROS: Final = memoryview(bytes(_CELL_BYTES))

EMPTY: Final = hashlib.sha256(_ZEROS).digest()
"""Of a cell of nothing but zeros."""

CellDigests: TypeAlias = "dict[int, bytes]"
"""SHA-256 of cells by their numbers, in rising order."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that is counted.

    Attributes:
        number: Its offset in MiB.
        begin: Where its first byte that was given belongs, from the image's start.
        end: Where the next one would belong, behind its last.
        digest: SHA-256 of it.
    """

    number: int
    begin: int
    end: int
    digest: bytes


class CellCounter:
    """Counts bytes that are given in rising order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._begin = self._end = 0

    def add(self, offset: int, data: memoryview) -> Iterator[Cell]:
        """Count what belongs at an offset; yields each cell that is complete by it. Go on until it ends."""
        while data:
            if offset // _CELL_BYTES != self._begin // _CELL_BYTES:
                yield from self.finish()
            part = data[: _CELL_BYTES - offset % _CELL_BYTES]
            self._put(offset, part)
            offset, data = offset + len(part), data[len(part) :]
            if offset % _CELL_BYTES == 0:
                yield from self.finish()

    def finish(self) -> Iterator[Cell]:
        """Yield the cell that was begun, if one was; what it lacks are zeros."""
        if self._begin == self._end:
            return
        number = self._begin // _CELL_BYTES
        self._hash.update(_ZEROS[: (number + 1) * _CELL_BYTES - self._end])
        yield Cell(number, self._begin, self._end, self._hash.digest())
        self._hash = hashlib.sha256()
        self._begin = self._end

    def _put(self, offset: int, part: memoryview) -> None:
        """Count bytes of one cell."""
        if self._begin == self._end:  # they are its first
            self._begin = offset
            self._end = offset - offset % _CELL_BYTES
        self._hash.update(_ZEROS[: offset - self._end])
        self._hash.update(part)
        self._end = offset + len(part)


class Cells:
    """Counts beside whoever gives the bytes, by a thread of its own; use it in a `with` block."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "cells")
        self._counter = CellCounter()
        self._digests: CellDigests = {}

    def add(self, offset: int, data: memoryview) -> Future[None]:
        """Count what belongs at an offset; `data` must stay as it is until what is returned is done."""
        return self._worker.submit(self._add, offset, data)

    def result(self) -> CellDigests:
        """Wait until all is counted."""
        self._worker.submit(self._finish).result()
        return self._digests

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(cancel_futures=True)

    def _add(self, offset: int, data: memoryview) -> None:
        self._keep(self._counter.add(offset, data))

    def _finish(self) -> None:
        self._keep(self._counter.finish())

    def _keep(self, cells: Iterator[Cell]) -> None:
        for cell in cells:
            self._digests[cell.number] = cell.digest
