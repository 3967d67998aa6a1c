"""A test's console as a slice of raw files: which bytes are the test's, when they came, and its marks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from hil.dutlink.console.transcript import Chunk
from hil.regular_file import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.console.transcript import Event, Mark

__all__ = ["ConsoleSlice", "SlicePart"]


@dataclass(frozen=True, slots=True)
class SlicePart:
    """A range of a raw file.

    Attributes:
        raw: The file.
        begin: Offset of its first byte.
        end: Offset after its last byte.
        is_neighbour: Whether its bytes came before the test began.
    """

    raw: Path
    begin: int
    end: int
    is_neighbour: bool = False

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return self.end - self.begin


@dataclass(slots=True)
class ConsoleSlice:
    """The console of a test: parts of raw files, one after the other.

    Offsets in it count from the first byte of the first part.

    Attributes:
        parts: The parts; each attempt has one, and one with what came before it.
        times: For each chunk its time, by `time.monotonic`, and its offset; in the order of offsets.
        marks: The marks, in order; a mark's position is an offset.
    """

    parts: list[SlicePart] = field(default_factory=list)
    times: list[tuple[float, int]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return sum(part.size_bytes for part in self.parts)

    def at_s(self, offset: int) -> float | None:
        """Return the time, by `time.monotonic`, at which a byte came, or None if it is not known."""
        found = bisect_right(self.times, offset, key=lambda entry: entry[1]) - 1
        return self.times[found][0] if found >= 0 else None

    def read(self, begin: int, end: int) -> list[tuple[int, bytes, bool]]:
        """Return the bytes between two offsets; for each part its offset, and whether it is a neighbour's.

        Raises:
            OSError: A file cannot be read.
        """
        found, offset = [], 0
        for part in self.parts:
            first, last = max(begin - offset, 0), min(end - offset, part.size_bytes)
            if first < last:
                with open_regular(part.raw) as file:
                    file.seek(part.begin + first)
                    found.append((offset + first, file.read(last - first), part.is_neighbour))
            offset += part.size_bytes
        return found

    def events(self) -> Iterator[tuple[Event, bool]]:
        """Yield chunks and marks in order, and whether they are a neighbour's; a chunk's `time_s` is 0.

        Raises:
            OSError: A file cannot be read.
        """
        marks = deque(self.marks)
        edges = sorted({offset for _, offset in self.times} | {mark.position for mark in self.marks})
        for start, data, is_neighbour in self.read(0, self.size_bytes):
            end = start + len(data)
            inside = edges[bisect_right(edges, start) : bisect_left(edges, end)]
            for first, last in pairwise([start, *inside, end]):
                while marks and marks[0].position <= first:
                    yield marks.popleft(), False
                piece = data[first - start : last - start]
                yield Chunk(self.at_s(first) or 0.0, 0.0, piece, first), is_neighbour
        yield from ((mark, False) for mark in marks)
