"""One test's part of a console: its start and end, its output, and the errors in that output."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

from hil.dutlink.console.allowlist import names_error
from hil.dutlink.console.transcript import Chunk, Mark
from hil.dutlink.dut.shown_commands import shown_events
from hil.errors import HilError, with_names
from hil.evidence.records import file_stem
from hil.evidence.timestamped_log import TimestampedLog, newest_lines
from hil.regular_file import own_file_opener

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from hil.dutlink.board import Board
    from hil.dutlink.console.allowlist import ErrorLine
    from hil.dutlink.console.transcript import Event
    from hil.evidence.console_recorder import ConsoleRecorder

__all__ = ["ConsoleCapture"]

_TAIL_BYTES: Final = 64 * 1024
_TEXT_BYTES: Final = 16 * 1024 * 1024
_NEIGHBOUR_BYTES: Final = 1024 * 1024
_LINE_BYTES: Final = 40
"""Bytes for the time in each line of a text file."""


class ConsoleCapture:
    """The part of a console that belongs to one test; creating it marks the test's start.

    Args:
        recorder: The recorder of the console.
        board: The board with the console.
        nodeid: The test.
        before: The previous test on the same board, if there was one.
        again: Whether this is a rerun of a test that just ended.

    Attributes:
        nodeid: The test.
        serial: The board's serial number.
        strays: Errors between the previous test and this one.
        unreported: Errors that the test's report must still show.
        failed: Whether any of the test's phases failed.
    """

    def __init__(
        self,
        recorder: ConsoleRecorder,
        board: Board,
        nodeid: str,
        before: Self | None = None,
        *,
        again: bool = False,
    ) -> None:
        self.nodeid = nodeid
        self.serial = board.serial
        self.unreported: list[ErrorLine] = []
        self.failed = False
        self._text_mode: Literal["a", "w"] = "a" if again else "w"
        self._recorder = recorder
        self._console = board.console
        self._since = before.end_position if before is not None else 0
        self._ended: Mark | None = None
        self._began = recorder.begin_test(nodeid, again=again)
        self._console.error_allowlist.clear()
        if self._console.is_open:
            with suppress(HilError):  # the tty is gone, and the next use of the console raises
                self._console.discard()
        recorder.sync()
        found = recorder.scanner.take_findings()
        self._found = [finding for finding in found if finding.position >= self._began.position]
        self.strays = (
            [finding for finding in found if finding not in self._found] if before and not again else []
        )

    def __str__(self) -> str:
        return self.nodeid

    @property
    def board_name(self) -> str:
        """The board as messages name it."""
        return with_names(f"board {self.serial}")

    @property
    def end_position(self) -> int:
        """Position in the console at the test's end, or at its start if it has not ended."""
        return (self._ended or self._began).position

    def end(self) -> None:
        """Mark the test's end.

        Raises:
            OSError: Its files are not complete.
        """
        self._ended = self._recorder.end_test(self.nodeid)
        if self._recorder.error is not None:
            raise self._recorder.error

    def take_errors(self, expected: Sequence[list[re.Pattern[bytes]]] = ()) -> list[ErrorLine]:
        """Return the errors since the last call that the test does not expect.

        Args:
            expected: For each marker of the test its patterns; see `names_error`.
        """
        self._console.drain()
        self._recorder.sync()
        found = [each for each in self._found + self._recorder.scanner.take_findings() if self._is_own(each)]
        self._found = []
        allows = self._console.error_allowlist.allows
        return [
            each
            for each in found
            if not allows(each) and not any(names_error(patterns, each) for patterns in expected)
        ]

    def take_late_errors(self) -> list[ErrorLine]:
        """Return the errors since the test ended; call it before another test starts."""
        with suppress(HilError):  # the board may have been released
            self._console.drain()
        self._recorder.sync()
        return self._recorder.scanner.take_findings()

    def _is_own(self, finding: ErrorLine) -> bool:
        return finding.position >= self._began.position

    def newest_lines(self, lines: int) -> list[str]:
        """Return the test's last console lines, with times, and with marks of actions on the DUT."""
        self._console.drain()
        transcript = self._console.transcript
        events = shown_events(transcript.events_between(self._began, self._ended))
        return newest_lines(_tail(events), self._began.monotonic_s, lines)

    def path_in(self, folder: Path) -> Path:
        """Return the path that the test's console for people has in a folder."""
        return folder / f"{file_stem(self.nodeid)}.txt"

    def write_text(self, folder: Path, *, with_bytes: bool = False) -> None:
        """Write the test's console for people after the test ended, from the output that is still in memory.

        An earlier attempt's console stays in the file.

        Args:
            folder: The folder; it is created if missing.
            with_bytes: Write the bytes, too, into a file whose name ends in `.raw`.

        Raises:
            OSError: The files cannot be written.
        """
        transcript = self._console.transcript
        first = max(self._since, self._began.position - _NEIGHBOUR_BYTES)
        neighbour = transcript.chunks_between(first, self._began.position)
        events = _tail(transcript.events_between(self._began, self._ended), _TEXT_BYTES)
        folder.mkdir(parents=True, exist_ok=True)
        path = self.path_in(folder)
        with open(path, self._text_mode, encoding="utf-8", opener=own_file_opener) as file:
            log = TimestampedLog(file, self._began.monotonic_s)
            log.write_header(f"console of {self.board_name}: {self.nodeid}")
            for chunk in neighbour:
                log.add(chunk, of_neighbour=True)
            for event in (self._began, *self._gap_before(events), *events):
                log.add(event)
            log.finish()
        if with_bytes:
            with open(path.with_suffix(".raw"), f"{self._text_mode}b", opener=own_file_opener) as raw:
                raw.writelines(event.data for event in (*neighbour, *events) if isinstance(event, Chunk))

    def _gap_before(self, events: list[Event]) -> list[Mark]:
        """Return a note if the test's first bytes are not among its events."""
        chunk = next((event for event in events if isinstance(event, Chunk)), None)
        missing_bytes = chunk.position - self._began.position if chunk is not None else 0
        if chunk is None or missing_bytes <= 0:
            return []
        text = f"{missing_bytes} bytes are left out here: this file has only the newest output"
        return [Mark(chunk.monotonic_s, chunk.time_s, text, self._began.position)]


def _tail(events: list[Event], most_bytes: int = _TAIL_BYTES) -> list[Event]:
    """Return the newest events, with about so many bytes of output, shown as lines."""
    size_bytes = 0
    for count, event in enumerate(reversed(events)):
        if isinstance(event, Chunk):
            size_bytes += len(event.data) + _LINE_BYTES * event.data.count(b"\n")
        if size_bytes > most_bytes and count:
            return events[-count:]
    return events
