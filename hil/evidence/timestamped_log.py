"""A console transcript as lines with timestamps, safe to show in any terminal, editor or page."""

from __future__ import annotations

import re
import time
from io import StringIO
from typing import TYPE_CHECKING, Final, TextIO

from hil.dutlink.console.sanitize import SanitizingDecoder, sanitize_text
from hil.dutlink.console.transcript import Mark
from hil.dutlink.dut.shown_commands import CommandFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.dutlink.console.transcript import Event

__all__ = ["LEGEND", "SHORT_LEGEND", "TimestampedLog", "newest_lines"]

LEGEND: Final = "UTC, and seconds since the start; | the DUT, < what came before the test, * what was done"
SHORT_LEGEND: Final = "seconds, | the DUT, * what was done"

_LONGEST_LINE: Final = 2000
_LONGEST_SHOWN: Final = 240
_DUT, _NEIGHBOUR, _MARK = "|", "<", "*"
_BLANK: Final = re.compile(rf"\s*[+-][0-9.]+ [{_DUT}{_NEIGHBOUR}]\s*")


class TimestampedLog:
    """Writes events as lines; a line's time is that of its first byte.

    Args:
        file: The text file to write.
        start_s: Origin of the times in the lines, by `time.monotonic`.
        wall: Whether each line also has the date and time of day.
    """

    def __init__(self, file: TextIO, start_s: float, *, wall: bool = True) -> None:
        self._file = file
        self._wall = wall
        self._start_s = start_s
        self._text = SanitizingDecoder()
        self._commands = CommandFilter()
        self._line = ""
        self._began: Event | None = None
        self._source = _DUT
        self._stamped: Event | None = None
        self._stamp = ""

    def write_header(self, title: str) -> None:
        """Write the title and the legend."""
        self._file.write(f"# {sanitize_text(title)}\n# {LEGEND}\n")

    def add(self, event: Event, *, of_neighbour: bool = False) -> None:
        """Write one event, or keep it until its line is complete."""
        for shown in self._commands.feed(event):
            self._add(shown, of_neighbour=of_neighbour)

    def _add(self, event: Event, *, of_neighbour: bool = False) -> None:
        if isinstance(event, Mark):
            self._end_line()
            self._file.write(f"{self._at(event)} {_MARK} {sanitize_text(str(event))}\n")
            return
        source = _NEIGHBOUR if of_neighbour else _DUT
        if source != self._source:
            self._end_line()
            self._source = source
        first, *lines = self._text.feed(event.data).split("\n")
        self._grow(first, event)
        if lines:
            self._write_line()
            self._write_whole(lines[:-1], event)
            self._grow(lines[-1], event)

    def finish(self) -> None:
        """Write the incomplete line, and flush the file; more events may follow."""
        for shown in self._commands.finish():
            self._add(shown)
        self._end_line()
        self._file.flush()

    def _grow(self, text: str, event: Event) -> None:
        if not self._line:
            self._began = event
        self._line += text
        while len(self._line) > _LONGEST_LINE:
            rest, self._line = self._line[_LONGEST_LINE:], self._line[:_LONGEST_LINE]
            self._write_line()
            self._line, self._began = rest, event

    def _end_line(self) -> None:
        *whole, rest = self._text.finish().split("\n")
        for line in whole:
            self._line += line
            self._write_line()
        self._line += rest
        if self._line:
            self._write_line()

    def _write_line(self) -> None:
        if self._began is not None:
            self._write_whole([self._line], self._began)
        self._line = ""

    def _write_whole(self, lines: list[str], event: Event) -> None:
        """Write complete lines that arrived together."""
        if max(map(len, lines), default=0) > _LONGEST_LINE:
            for line in lines:
                self._grow(line, event)
                self._write_line()
        elif lines:
            before = f"{self._at(event)} {self._source} "
            self._file.write(before + f"\n{before}".join(lines) + "\n")

    def _at(self, event: Event) -> str:
        if event is not self._stamped:
            self._stamped = event
            since = f"{event.monotonic_s - self._start_s:+10.3f}"
            self._stamp = f"{_time_of_day(event.time_s)} {since}" if self._wall else since
        return self._stamp


def _time_of_day(time_s: float) -> str:
    seconds, milliseconds = divmod(int(time_s * 1000), 1000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}"


def newest_lines(events: Iterable[Event], start_s: float, lines: int) -> list[str]:
    """Return the last lines of these events that are not blank, with seconds; long lines are cut."""
    text = StringIO()
    timed = TimestampedLog(text, start_s, wall=False)
    for event in events:
        timed.add(event)
    timed.finish()
    written = text.getvalue().splitlines()
    newest = [line for line in written if not _BLANK.fullmatch(line)][-lines:]
    return [line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}..." for line in newest]
