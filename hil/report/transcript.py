"""A test's console as lines with their times, as far as a page can hold it.

The bytes are what a DUT said: they may be megabytes without a line's end. A page shows the beginning and the
end, and names the file that has everything.
"""

from __future__ import annotations

import bisect
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hil.dutlink.console.sanitize import sanitize_bytes, sanitize_text
from hil.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["ConsoleMark", "ConsoleView", "Line", "read_console_view"]

_LONGEST_LINE_BYTES = 2_000
_HEAD_BYTES = 100_000
_TAIL_BYTES = 500_000
_CHUNK = re.compile(r"\[([0-9.e+]+), ?([0-9.e+]+), ?([0-9]+), ?([0-9]+)\]")
_LINE = re.compile(rb"[^\r\n]*(?:\r*\n|\r+|\Z)")


@dataclass(frozen=True, slots=True)
class ConsoleMark:
    """Something that was done to the DUT, or happened: `at_s` by `time.monotonic`."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        at_s: When its first byte came, by `time.monotonic`; None: nobody knows.
        text: What it says, made plain.
        kind: `dut`, `neighbour` (the DUT's too, from before the test), `mark` or `gap`: these are ours.
    """

    at_s: float | None
    text: str
    kind: str = "dut"


@dataclass(slots=True)
class ConsoleView:
    """What a page shows of a console.

    Attributes:
        lines: In their order.
        marks: Those among them, for the power plot.
        busy_s: When bytes came, by `time.monotonic`.
        size_bytes: How much there was.
        file: Name of the file that has it all.
    """

    lines: list[Line] = field(default_factory=list)
    marks: list[ConsoleMark] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    size_bytes: int = 0
    file: str = ""


def read_console_view(folder: Path, stem: str) -> ConsoleView | None:
    """Return what is kept of a test's console in `folder`; None: nothing that can be read."""
    raw, facts = folder / f"{stem}.raw", folder / f"{stem}.json"
    with suppress(OSError):
        size_bytes = raw.stat().st_size
        index = _Index(facts)
        transcript = ConsoleView(
            marks=[ConsoleMark(at_s, sanitize_text(text)) for at_s, _, text in index.marks],
            busy_s=[at_s for at_s, _ in index.chunks],
            size_bytes=size_bytes,
            file=raw.name,
        )
        transcript.lines = list(_with_marks(list(_lines(raw, size_bytes, index)), index))
        return transcript
    return None


class _Index:
    """Times by offset; none where the file that has them is missing, its beginning where a run was killed."""

    def __init__(self, path: Path) -> None:
        self.chunks: list[tuple[float, int]] = []
        self.marks: list[tuple[float, int, str]] = []
        self.neighbour: list[tuple[int, int]] = []
        with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            data = _facts(read_regular(path).decode("utf-8", "replace"))
            self.chunks = sorted((float(one[0]), int(one[2])) for one in data["chunks"])
            self.marks = sorted((float(one[0]), int(one[2]), str(one[3])) for one in data["marks"])
            self.neighbour = [(int(begin), int(end)) for begin, end in data["neighbour"]]
        self._offsets = [offset for _, offset in self.chunks]

    def at_s(self, offset: int) -> float | None:
        """When the byte at that offset came."""
        found = bisect.bisect_right(self._offsets, offset) - 1
        return self.chunks[found][0] if found >= 0 else None

    def kind(self, offset: int) -> str:
        """Whose the byte at that offset is: this test's, or that of the time before it."""
        before = any(begin <= offset < end for begin, end in self.neighbour)
        return "neighbour" if before else "dut"


def _facts(text: str) -> dict[str, Any]:
    """Read the file, or what there is of one whose writer was killed: the list of chunks comes first."""
    with suppress(ValueError):
        found: dict[str, Any] = json.loads(text)
        return found
    return {"chunks": [one.groups() for one in _CHUNK.finditer(text)], "marks": [], "neighbour": []}


def _lines(raw: Path, size_bytes: int, index: _Index) -> Iterator[tuple[int, Line]]:
    """Give the lines of the beginning and the end with their offsets, and a note of what is between."""
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
    for found in _LINE.finditer(data):
        if not found.group():
            continue
        offset, line = start + found.start(), found.group().rstrip(b"\r\n")
        more = len(line) - _LONGEST_LINE_BYTES
        text = sanitize_bytes(line[:_LONGEST_LINE_BYTES]) + (
            f" [{more:,} bytes more in this line]" if more > 0 else ""
        )
        yield offset, Line(index.at_s(offset), text, index.kind(offset))


def _with_marks(lines: Sequence[tuple[int, Line]], index: _Index) -> Iterator[Line]:
    """Put the marks between the lines, each before the line that came after it."""
    marks = [(offset, Line(at_s, sanitize_text(text), "mark")) for at_s, offset, text in index.marks]
    merged = [*((offset, 0, line) for offset, line in marks), *((offset, 1, line) for offset, line in lines)]
    return (line for _, _, line in sorted(merged, key=lambda one: one[:2]))
