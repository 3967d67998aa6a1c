"""One test's part of a console: its start and end, its output, and the errors in that output."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.allowlist import names_error
from hil.dutlink.console.transcript import Chunk
from hil.dutlink.dut.shown_commands import shown_events
from hil.errors import HilError
from hil.evidence.console_files import NEIGHBOUR_BYTES, ConsoleFiles
from hil.evidence.records import file_stem
from hil.evidence.timestamped_log import newest_lines

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from hil.dutlink.board import Board
    from hil.dutlink.console.allowlist import ErrorLine
    from hil.dutlink.console.transcript import Event, Mark
    from hil.evidence.console_recorder import ConsoleRecorder

__all__ = ["ConsoleCapture"]

_TAIL_BYTES: Final = 64 * 1024


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
        """Return the path that the test's readable console file has in a folder."""
        return folder / f"{file_stem(self.nodeid)}.txt"

    def write_files(self, folder: Path) -> None:
        """Write the test's files after it ended, from the output that is still in memory.

        Raises:
            OSError: The files cannot be written.
        """
        transcript = self._console.transcript
        first = max(self._since, self._began.position - NEIGHBOUR_BYTES)
        neighbour = transcript.chunks_between(first, self._began.position)
        record = ConsoleFiles(folder, self.serial, self._began, neighbour)
        for event in transcript.events_between(self._began, self._ended):
            record.add(event)
        record.close()


def _tail(events: list[Event]) -> list[Event]:
    """Return the newest events, with about 64 KiB of output."""
    size = 0
    for count, event in enumerate(reversed(events)):
        size += len(event.data) if isinstance(event, Chunk) else 0
        if size > _TAIL_BYTES and count:
            return events[-count:]
    return events
