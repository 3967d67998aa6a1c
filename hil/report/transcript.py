"""A test's console as lines with times, for a page.

A DUT may print megabytes without a line end. A page shows the beginning and the end, and names the file that
has everything.
"""

from __future__ import annotations

import bisect
import itertools
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hil.dutlink.console.sanitize import sanitize_bytes, sanitize_text
from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.dutlink.dut.shown_commands import shown_events
from hil.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hil.dutlink.console.transcript import Event

__all__ = ["ConsoleMark", "ConsoleView", "Line", "merge_views", "read_console_view"]

_LONGEST_LINE_BYTES = 2_000
_HEAD_BYTES = 100_000
_TAIL_BYTES = 500_000
_CHUNK = re.compile(r"\[([0-9.e+]+), ?([0-9.e+]+), ?([0-9]+), ?([0-9]+)\]")
_LINE = re.compile(rb"[^\r\n]*(?:\r*\n|\r+|\Z)")
_TEST_EDGES = {"test_begins", "test_again", "test_ends"}
_OLD_TEST_EDGES = ("test begins", "test ends")
"""Beginnings of a test edge's text in evidence whose marks have no kind."""


@dataclass(frozen=True, slots=True)
class ConsoleMark:
    """An action on the DUT, or an event.

    Attributes:
        at_s: Its time by `time.monotonic`.
        text: What it was, safe to show.
        is_test_edge: Whether it is the start or end of a test.
    """

    at_s: float
    text: str
    is_test_edge: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        at_s: Time of its first byte by `time.monotonic`; None if not known.
        text: Its text, safe to show.
        kind: `dut`; `neighbour`, output of the DUT before the test; `mark`; or `gap`, for output left out.
    """

    at_s: float | None
    text: str
    kind: str = "dut"


@dataclass(slots=True)
class ConsoleView:
    """What a page shows of a console.

    Attributes:
        lines: The lines, in order.
        marks: The marks among them, for the power plot.
        busy_s: Times at which bytes arrived, by `time.monotonic`.
        size_bytes: Size of the whole output.
        file: Name of the file that has the whole output.
    """

    lines: list[Line] = field(default_factory=list)
    marks: list[ConsoleMark] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    size_bytes: int = 0
    file: str = ""


def read_console_view(folder: Path, stem: str) -> ConsoleView | None:
    """Return a test's console from the files in `folder`, or None if they cannot be read."""
    raw, facts = folder / f"{stem}.raw", folder / f"{stem}.json"
    with suppress(OSError):
        size_bytes = raw.stat().st_size
        index = _Index(facts)
        transcript = ConsoleView(
            marks=[ConsoleMark(at_s, sanitize_text(text), edge) for at_s, _, text, edge in index.marks],
            busy_s=[at_s for at_s, _ in index.chunks],
            size_bytes=size_bytes,
            file=raw.name,
        )
        transcript.lines = list(_with_marks(list(_lines(raw, size_bytes, index)), index))
        return transcript
    return None


def merge_views(views: Mapping[str, ConsoleView | None]) -> ConsoleView | None:
    """Return the consoles of a test's boards as one, in the order of time; None if there is none.

    Each line begins with the role of its board. The files are those of the first console.

    Args:
        views: The consoles by role.
    """
    known = {role: view for role, view in views.items() if view is not None}
    if not known:
        return None
    timed = []
    for role, view in known.items():
        at_s = float("-inf")  # a line without a time follows the line before it
        for line in view.lines:
            at_s = at_s if line.at_s is None else line.at_s
            timed.append((at_s, Line(line.at_s, f"{role}: {line.text}", line.kind)))
    first = next(iter(known.values()))
    lines = [line for _at_s, line in sorted(timed, key=lambda one: one[0])]
    return ConsoleView(lines, first.marks, first.busy_s, first.size_bytes, first.file)


class _Index:
    """The index file of a console: chunks and marks. Empty without a file; incomplete after a killed run."""

    def __init__(self, path: Path) -> None:
        self.chunks: list[tuple[float, int]] = []
        self.marks: list[tuple[float, int, str, bool]] = []
        self.neighbour: list[tuple[int, int]] = []
        self.commands: list[tuple[int, str]] = []
        with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            data = _facts(read_regular(path).decode("utf-8", "replace"))
            self.chunks = sorted((float(one[0]), int(one[2])) for one in data["chunks"])
            self.marks = sorted(
                (float(one[0]), int(one[2]), str(one[3]), _is_test_edge(*one[3:])) for one in data["marks"]
            )
            self.neighbour = [(int(begin), int(end)) for begin, end in data["neighbour"]]
            self.commands = [(int(offset), str(text)) for offset, text in data.get("commands", [])]
        self._offsets = [offset for _, offset in self.chunks]

    def at_s(self, offset: int) -> float | None:
        """Return the time at which the byte at an offset arrived, or None if not known."""
        found = bisect.bisect_right(self._offsets, offset) - 1
        return self.chunks[found][0] if found >= 0 else None

    def kind(self, offset: int) -> str:
        """Return `dut` for a byte of this test, `neighbour` for one from before it."""
        before = any(begin <= offset < end for begin, end in self.neighbour)
        return "neighbour" if before else "dut"


def _is_test_edge(text: object, kind: object = None, *_: object) -> bool:
    return str(text).startswith(_OLD_TEST_EDGES) if kind is None else kind in _TEST_EDGES


def _facts(text: str) -> dict[str, Any]:
    """Parse an index, or the chunks of an incomplete one, whose writer was killed."""
    with suppress(ValueError):
        found: dict[str, Any] = json.loads(text)
        return found
    return {"chunks": [one.groups() for one in _CHUNK.finditer(text)], "marks": [], "neighbour": []}


def _lines(raw: Path, size_bytes: int, index: _Index) -> Iterator[tuple[int, Line]]:
    """Yield the lines of the beginning and the end with their offsets, and a note about the gap between."""
    with open_regular(raw) as file:
        if size_bytes <= _HEAD_BYTES + _TAIL_BYTES:
            yield from _split(file.read(), 0, index)
            return
        yield from _split(file.read(_HEAD_BYTES), 0, index)
        start = size_bytes - _TAIL_BYTES
        note = f"{start - _HEAD_BYTES:,} bytes are left out here"
        yield start, Line(index.at_s(start), note, "gap")
        file.seek(start)
        yield from _split(file.read(_TAIL_BYTES), start, index)


def _split(data: bytes, start: int, index: _Index) -> Iterator[tuple[int, Line]]:
    shown = shown_events(_events(data, start, index.commands))
    pieces = [event for event in shown if isinstance(event, Chunk)]
    begins = list(itertools.accumulate((len(piece.data) for piece in pieces), initial=0))
    for found in _LINE.finditer(b"".join(piece.data for piece in pieces)):
        if not found.group():
            continue
        at = bisect.bisect_right(begins, found.start()) - 1
        offset, line = pieces[at].position + found.start() - begins[at], found.group().rstrip(b"\r\n")
        more = len(line) - _LONGEST_LINE_BYTES
        text = sanitize_bytes(line[:_LONGEST_LINE_BYTES]) + (
            f" [{more:,} bytes more in this line]" if more > 0 else ""
        )
        yield offset, Line(index.at_s(offset), text, index.kind(offset))


def _events(data: bytes, start: int, commands: Sequence[tuple[int, str]]) -> Iterator[Event]:
    """Yield bytes as chunks, with the notes of the commands that were typed between them."""
    typed = [(offset, text) for offset, text in commands if start <= offset <= start + len(data)]
    begin = start
    for offset, text in [*typed, (start + len(data), None)]:
        if offset > begin:
            yield Chunk(0.0, 0.0, data[begin - start : offset - start], begin)
        if text is not None:
            yield Mark(0.0, 0.0, text, offset, MarkKind.COMMAND)
        begin = offset


def _with_marks(lines: Sequence[tuple[int, Line]], index: _Index) -> Iterator[Line]:
    """Yield lines and marks in order, each mark before the line that follows it."""
    marks = [(offset, Line(at_s, sanitize_text(text), "mark")) for at_s, offset, text, _ in index.marks]
    merged = [*((offset, 0, line) for offset, line in marks), *((offset, 1, line) for offset, line in lines)]
    return (line for _, _, line in sorted(merged, key=lambda one: one[:2]))
