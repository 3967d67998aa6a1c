"""One test's part of a console: where it begins and ends, what it showed, and which of that is trouble."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.allowlist import names_error
from hil.dutlink.console.transcript import Chunk
from hil.errors import HilError
from hil.evidence.console_files import NEIGHBOUR_BYTES, ConsoleFiles
from hil.evidence.file_names import file_stem
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
    """A test, from its begin; making one is its begin.

    Args:
        recorder: What keeps the console.
        board: Whose console.
        nodeid: The test.
        before: The test before it on the same board, if there was one.
        again: Whether it just ended, and is repeated.

    Attributes:
        nodeid: The test.
        serial: The board's serial number.
        strays: Trouble that came between the test before and this one.
        told: Trouble that is still to be shown in its report.
        failed: Whether any of its phases failed.
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
        self.told: list[ErrorLine] = []
        self.failed = False
        self._recorder = recorder
        self._console = board.console
        self._since = before.end_position if before is not None else 0
        self._ended: Mark | None = None
        self._began = recorder.begin(nodeid, again=again)
        self._console.error_allowlist.clear()
        if self._console.is_open:
            with suppress(HilError):  # it went away: who uses it is told
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
        """How many bytes had come when it ended; when it began, if it has not."""
        return (self._ended or self._began).position

    def end(self) -> None:
        """Note that it ended.

        Raises:
            OSError: Its files are not complete.
        """
        self._ended = self._recorder.end(self.nodeid)
        if self._recorder.error is not None:
            raise self._recorder.error

    def trouble(self, expected: Sequence[list[re.Pattern[bytes]]] = ()) -> list[ErrorLine]:
        """Return the trouble that came since the last call, but for what the test expects.

        Args:
            expected: For each marker of the test its patterns, as `says` takes them.
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

    def late_trouble(self) -> list[ErrorLine]:
        """Return the trouble that came since it ended; nobody else's test has begun."""
        with suppress(HilError):  # the board may have been given back
            self._console.drain()
        self._recorder.sync()
        return self._recorder.scanner.take_findings()

    def _is_own(self, finding: ErrorLine) -> bool:
        return finding.position >= self._began.position

    def newest_lines(self, lines: int) -> list[str]:
        """Return the last lines it showed, what was done to the DUT in between, with times."""
        self._console.drain()
        transcript = self._console.transcript
        events = transcript.events_between(self._began, self._ended)
        return newest_lines(_tail(events), self._began.monotonic_s, lines)

    def path_in(self, folder: Path) -> Path:
        """Return the file to look at first, if its files are kept in this folder."""
        return folder / f"{file_stem(self.nodeid)}.txt"

    def keep(self, folder: Path) -> None:
        """Write its files after it ended, as far as memory reaches.

        Raises:
            OSError: They cannot be written.
        """
        transcript = self._console.transcript
        first = max(self._since, self._began.position - NEIGHBOUR_BYTES)
        neighbour = transcript.chunks_between(first, self._began.position)
        record = ConsoleFiles(folder, self.serial, self._began, neighbour)
        for event in transcript.events_between(self._began, self._ended):
            record.add(event)
        record.close()


def _tail(events: list[Event]) -> list[Event]:
    """Return the newest events, with some 64 KiB at most: what is shown needs no more."""
    size = 0
    for count, event in enumerate(reversed(events)):
        size += len(event.data) if isinstance(event, Chunk) else 0
        if size > _TAIL_BYTES and count:
            return events[-count:]
    return events
