"""Cut the console of each test out of the files of a run: one raw file and one index for each board.

Older runs kept files for each test, `STEM.raw` and the index `STEM.json`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.console_file import BEGINS, ChunkPlace, Opening, parse, raw_of
from hil.evidence.records import file_stem
from hil.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.dutlink.console.transcript import Event

__all__ = ["ConsoleSlice", "RunConsoles", "SlicePart", "read_older_slice"]

_NEIGHBOUR_BYTES: Final = 1024 * 1024
"""How many bytes of the output between two tests are part of the second one's console."""


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


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the two files of a board.

    Attributes:
        line: Offset of a line in the index.
        offset: Offset in the raw file.
    """

    line: int
    offset: int


@dataclass(slots=True)
class _Attempt:
    """Where an attempt of a test is in the files of a board.

    Attributes:
        test: Name of the test.
        began_s: When it began, by `time.monotonic`.
        index: The index.
        since: The end of the test before it, or the place at which a process opened the files.
        begin: Its begin.
        end: Its end; None if it goes on, or its process was killed.
    """

    test: str
    began_s: float
    index: Path
    since: _Place
    begin: _Place
    end: _Place | None = None


class RunConsoles:
    """The consoles of a run's tests; the files are searched once, for all tests.

    Args:
        folder: The folder with the files.
        run: Key of the run, since an earlier one may have left files of further boards; empty for every run.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._attempts: dict[str, list[_Attempt]] = {}
        for index in sorted(folder.glob("run-*.jsonl")):
            with suppress(OSError):
                for attempt in _attempts_in(index, run):
                    self._attempts.setdefault(file_stem(attempt.test), []).append(attempt)

    @property
    def stems(self) -> list[str]:
        """What `file_stem` makes of the names of tests with a console in the files of boards."""
        return list(self._attempts)

    def slice(self, stem: str) -> ConsoleSlice | None:
        """Return the console of a test, with all its attempts, or None if there is none.

        Args:
            stem: What `file_stem` makes of the test's name.

        Raises:
            OSError: The files cannot be read.
        """
        if stem not in self._attempts:
            return read_older_slice(self._folder, stem)
        console = ConsoleSlice()
        for attempt in sorted(self._attempts[stem], key=lambda attempt: attempt.began_s):
            _add(console, attempt)
        return console


def _attempts_in(index: Path, run: str) -> Iterator[_Attempt]:
    """Yield the attempts of all tests in the files of a board, without those of other runs."""
    since, attempt, is_of_run = _Place(0, 0), None, False
    for begin, end, entry in _edges_in(index):
        if attempt is not None:
            attempt.end = end if isinstance(entry, Mark) and entry.kind is MarkKind.TEST_ENDS else begin
            yield attempt
            attempt = None
        if isinstance(entry, Opening):
            is_of_run = not run or entry.run == run
        elif entry.kind in BEGINS and is_of_run:
            attempt = _Attempt(entry.text, entry.monotonic_s, index, since, begin)
        since = end
    if attempt is not None:
        yield attempt


def _edges_in(index: Path) -> Iterator[tuple[_Place, _Place, Opening | Mark]]:
    """Yield openings, and marks at which a test begins or ends, with the places before and after each."""
    at = 0
    with open_regular(index) as file:
        for line in file:
            entry = parse(line) if b'"' in line else None  # most lines are those of chunks, and have none
            if isinstance(entry, Opening):
                yield _Place(at, entry.offset), _Place(at + len(line), entry.offset), entry
            elif isinstance(entry, Mark) and entry.kind in {*BEGINS, MarkKind.TEST_ENDS}:
                yield _Place(at, entry.position), _Place(at + len(line), entry.position), entry
            at += len(line)


def _add(console: ConsoleSlice, attempt: _Attempt) -> None:
    """Add the parts, times and marks of an attempt to the console of its test."""
    raw = raw_of(attempt.index)
    size_bytes = raw.stat().st_size
    end = min(attempt.end.offset, size_bytes) if attempt.end is not None else size_bytes
    begin = min(attempt.begin.offset, end)
    first = max(0, min(attempt.since.offset, begin), begin - _NEIGHBOUR_BYTES)
    shift = console.size_bytes - first
    for since, entry in _entries(attempt):
        if isinstance(entry, ChunkPlace) and entry.offset + entry.size_bytes > first:
            console.times.append((entry.monotonic_s, max(entry.offset, first) + shift))
        elif isinstance(entry, Mark) and since >= attempt.begin.line:
            console.marks.append(replace(entry, position=max(entry.position, first) + shift))
    parts = SlicePart(raw, first, begin, is_neighbour=True), SlicePart(raw, begin, end)
    console.parts += [part for part in parts if part.size_bytes]


def _entries(attempt: _Attempt) -> Iterator[tuple[int, Opening | ChunkPlace | Mark | None]]:
    """Yield the entries of an attempt, and of what came before it, with the offset of their lines."""
    with open_regular(attempt.index) as file:
        at = file.seek(attempt.since.line)
        lines = file.read(attempt.end.line - at if attempt.end is not None else -1)
    for line in lines.splitlines(keepends=True):
        yield at, parse(line)
        at += len(line)


_CHUNK: Final = re.compile(r"\[([0-9.e+]+), ?([0-9.e+]+), ?([0-9]+), ?([0-9]+)\]")
_EDGES: Final = (MarkKind.TEST_BEGINS, MarkKind.TEST_ENDS)
"""Kinds of marks that the oldest files tell only by the beginning of a mark's text."""


def read_older_slice(folder: Path, stem: str) -> ConsoleSlice | None:
    """Return a test's console from its own files in a folder, or None if there are none."""
    raw = folder / f"{stem}.raw"
    try:
        with open_regular(raw) as file:
            size_bytes = file.seek(0, 2)
    except OSError:
        return None
    console = ConsoleSlice([SlicePart(raw, 0, size_bytes)])
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        index = _parsed(read_regular(raw.with_suffix(".json")).decode("utf-8", "replace"))
        console.times = sorted(
            ((float(one[0]), int(one[2])) for one in index["chunks"]), key=lambda entry: entry[1]
        )
        console.marks = sorted((_mark(*one) for one in index["marks"]), key=lambda mark: mark.monotonic_s)
        console.parts = list(_parts(raw, size_bytes, index["neighbour"]))
    return console


def _parsed(text: str) -> dict[str, Any]:
    """Parse an index, or the chunks of an incomplete one, whose writer was killed."""
    with suppress(ValueError):
        found: dict[str, Any] = json.loads(text)
        return found
    return {"chunks": [one.groups() for one in _CHUNK.finditer(text)], "marks": [], "neighbour": []}


def _mark(monotonic_s: float, time_s: float, offset: int, text: str, kind: str = "", *_: object) -> Mark:
    """Return a mark; the files have its text as a person reads it."""
    known = MarkKind.__members__.get(kind.upper()) if kind else _told_by(text)
    known = known or MarkKind.NOTE
    return Mark(float(monotonic_s), float(time_s), text.removeprefix(f"{known.value}: "), int(offset), known)


def _told_by(text: str) -> MarkKind | None:
    return next((kind for kind in _EDGES if text.startswith(kind.value)), None)


def _parts(raw: Path, size_bytes: int, neighbour: list[tuple[int, int]]) -> Iterator[SlicePart]:
    """Yield the parts of a file, some of which came before an attempt of the test."""
    at = 0
    for begin, end in neighbour:
        first, last = (min(max(at, int(edge)), size_bytes) for edge in (begin, end))
        yield SlicePart(raw, at, first)
        yield SlicePart(raw, first, max(first, last), is_neighbour=True)
        at = max(first, last)
    yield SlicePart(raw, at, size_bytes)
