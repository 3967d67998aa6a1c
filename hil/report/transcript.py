"""A test's console as lines with times: the view of a page, and the text of `hil report DIR --console`.

A DUT may print megabytes without a line end. A page shows the beginning and the end, and names the file that
has everything.
"""

from __future__ import annotations

import bisect
import itertools
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import TYPE_CHECKING

from hil.dutlink.console.sanitize import sanitize_bytes, sanitize_text
from hil.dutlink.console.transcript import Chunk, MarkKind
from hil.dutlink.dut.shown_commands import shown_events
from hil.evidence.console_slices import ConsoleSlice, RunConsoles
from hil.evidence.records import file_stem, part_name
from hil.evidence.run_folder import EvidenceFolder
from hil.evidence.timestamped_log import TimestampedLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hil.dutlink.console.transcript import Event, Mark
    from hil.evidence.records import RecordedTest

__all__ = ["ConsoleMark", "ConsoleView", "Line", "merge_views", "read_console_texts", "read_console_view"]

_LONGEST_LINE_BYTES = 2_000
_HEAD_BYTES = 100_000
_TAIL_BYTES = 500_000
_LINE = re.compile(rb"[^\r\n]*(?:\r*\n|\r+|\Z)")
_TEST_EDGES = {MarkKind.TEST_BEGINS, MarkKind.TEST_AGAIN, MarkKind.TEST_ENDS}


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
        begin: Offset of its first byte in that file.
    """

    lines: list[Line] = field(default_factory=list)
    marks: list[ConsoleMark] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    size_bytes: int = 0
    file: str = ""
    begin: int = 0


def read_console_view(consoles: RunConsoles, stem: str) -> ConsoleView | None:
    """Return the console of a test, or None if it cannot be read."""
    with suppress(OSError):
        console = consoles.slice(stem)
        return None if console is None else _view(console)
    return None


def _view(console: ConsoleSlice) -> ConsoleView:
    told = [mark for mark in console.marks if mark.kind is not MarkKind.COMMAND]
    view = ConsoleView(
        marks=[
            ConsoleMark(mark.monotonic_s, sanitize_text(str(mark)), mark.kind in _TEST_EDGES) for mark in told
        ],
        busy_s=[at_s for at_s, _ in console.times],
        size_bytes=console.size_bytes,
    )
    if console.parts:
        view.file, view.begin = console.parts[0].raw.name, console.parts[0].begin
    marks = [
        (mark.position, 0, Line(shown.at_s, shown.text, "mark"))
        for mark, shown in zip(told, view.marks, strict=True)
    ]
    lines = [(offset, 1, line) for offset, line in _lines(console)]
    view.lines = [line for _, _, line in sorted([*marks, *lines], key=lambda entry: entry[:2])]
    return view


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
    return replace(first, lines=lines)


def _lines(console: ConsoleSlice) -> Iterator[tuple[int, Line]]:
    """Yield the lines of the beginning and the end with their offsets, and a note about the gap between."""
    size_bytes = console.size_bytes
    if size_bytes <= _HEAD_BYTES + _TAIL_BYTES:
        yield from _split(console, 0, size_bytes)
        return
    yield from _split(console, 0, _HEAD_BYTES)
    start = size_bytes - _TAIL_BYTES
    yield start, Line(console.at_s(start), f"{start - _HEAD_BYTES:,} bytes are left out here", "gap")
    yield from _split(console, start, size_bytes)


def _split(console: ConsoleSlice, begin: int, end: int) -> Iterator[tuple[int, Line]]:
    """Yield the lines between two offsets, with commands as the user wrote them; a test begins a line."""
    for start, data, is_neighbour in console.read(begin, end):
        shown = shown_events(_events(data, start, console.marks))
        pieces = [event for event in shown if isinstance(event, Chunk)]
        begins = list(itertools.accumulate((len(piece.data) for piece in pieces), initial=0))
        kind = "neighbour" if is_neighbour else "dut"
        for found in _LINE.finditer(b"".join(piece.data for piece in pieces)):
            if found.group():
                at = bisect.bisect_right(begins, found.start()) - 1
                offset = pieces[at].position + found.start() - begins[at]
                yield offset, Line(console.at_s(offset), _shown(found.group().rstrip(b"\r\n")), kind)


def _events(data: bytes, start: int, marks: Sequence[Mark]) -> Iterator[Event]:
    """Yield bytes as chunks, with the notes of the commands that were typed between them."""
    begin, end = start, start + len(data)
    for mark in marks:
        if mark.kind is MarkKind.COMMAND and begin <= mark.position <= end:
            yield Chunk(0.0, 0.0, data[begin - start : mark.position - start], begin)
            yield mark
            begin = mark.position
    yield Chunk(0.0, 0.0, data[begin - start :], begin)


def _shown(line: bytes) -> str:
    more = len(line) - _LONGEST_LINE_BYTES
    rest = f" [{more:,} bytes more in this line]" if more > 0 else ""
    return sanitize_bytes(line[:_LONGEST_LINE_BYTES]) + rest


def read_console_texts(folder: Path, words: str) -> dict[str, str]:
    """Return the console of each test with these words in its node id, by its name, as lines with times.

    Args:
        folder: The evidence of a run.
        words: Part of the node id.

    Raises:
        OSError: A file cannot be read.
    """
    evidence = EvidenceFolder(folder)
    run = evidence.run()
    key = run.key if run is not None else ""
    consoles = RunConsoles(folder / "console", key)
    tests = [test for test in evidence.tests(key) if words in test.nodeid]
    found = {name: consoles.slice(stem) for test in tests for name, stem in _parts(test)}
    return {name: _text(console) for name, console in found.items() if console is not None}


def _parts(test: RecordedTest) -> Iterator[tuple[str, str]]:
    """Yield the name under which the console of each of a test's boards is kept, and the stem of that."""
    yield test.nodeid, test.stem or file_stem(test.nodeid)
    for board in test.partners:
        name = part_name(test.nodeid, board.role)
        yield name, file_stem(name)


def _text(console: ConsoleSlice) -> str:
    text = StringIO()
    start_s = console.marks[0].monotonic_s if console.marks else console.at_s(0) or 0.0
    log = TimestampedLog(text, start_s, wall=False)
    for event, is_neighbour in console.events():
        log.add(event, of_neighbour=is_neighbour)
    log.finish()
    return text.getvalue()
