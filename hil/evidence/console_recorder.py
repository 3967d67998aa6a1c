"""What is kept of one console while its board is held: files of the run and of its tests, and troubles."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.console_files import (
    LITTLE_BYTES,
    NEIGHBOUR_BYTES,
    TEST_BYTES,
    ConsoleFiles,
    RunConsoleFiles,
)
from hil.evidence.error_scanner import ErrorScanner
from hil.evidence.transcript_follower import TranscriptFollower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hil.dutlink.console.console import Console
    from hil.dutlink.console.transcript import Event

__all__ = ["ConsoleFolder", "ConsoleRecorder"]

_NEIGHBOUR_CHUNKS = 10_000


@dataclass(frozen=True, slots=True)
class ConsoleFolder:
    """Where consoles are kept.

    Attributes:
        folder: The folder; it is made if need be.
        run: Which run it is: what an earlier one left of a board goes.
    """

    folder: Path
    run: str = ""


class ConsoleRecorder:
    """Keeps what a console says, from its opening on, and looks for trouble in it.

    Args:
        console: Which.
        board: The board's serial number.
        kept: Where to keep the files; None: none are written.
        watch: More patterns of trouble, from the lab file.

    Attributes:
        watch: What was found.
        error: Why no more is written, where that is so; a full disk fails no test.
    """

    def __init__(
        self, console: Console, board: str, kept: ConsoleFolder | None = None, watch: Sequence[str] = ()
    ) -> None:
        self.scanner = ErrorScanner(watch)
        self.error: OSError | None = None
        self._console = console
        self._files = _Files(board, kept) if kept is not None else None
        self._follower = TranscriptFollower(console.transcript, self, f"recorder of {board}")
        console.on_close.append(self.sync)  # the next holder of the board adds to the same files

    def begin(self, test: str, *, again: bool = False) -> Mark:
        """Note that a test begins: what came to this host before is not its own.

        Args:
            test: Its node id.
            again: Whether it just ended, and is repeated: then its files go on.
        """
        self._console.drain()
        kind = MarkKind.TEST_AGAIN if again else MarkKind.TEST_BEGINS
        return self._console.transcript.mark(test, kind)

    def end(self, test: str) -> Mark:
        """Note that it ended, and have its files complete."""
        self._console.drain()
        mark = self._console.transcript.mark(test, MarkKind.TEST_ENDS)
        self.sync()
        return mark

    def take_left_out_bytes(self) -> int:
        """Return how many bytes were left out of the files of tests that ended since the last call."""
        if self._files is None:
            return 0
        left_out, self._files.left_out_bytes = self._files.left_out_bytes, 0
        return left_out

    def sync(self) -> None:
        """Return when all that came so far is kept, and was looked at."""
        self._follower.sync()

    def close(self) -> None:
        """Complete the files, and stop following."""
        if self.sync in self._console.on_close:
            self._console.on_close.remove(self.sync)
        self._follower.close()
        self._write(_Files.close)

    def handle(self, event: Event) -> None:
        """Keep an event, and look for trouble in it; for the follower."""
        if isinstance(event, Chunk):
            self.scanner.feed(event)
        self._write(_Files.add, event)

    def pause(self) -> None:
        """Have everything in the files, and the last line looked at before it ends; for the follower."""
        self.scanner.scan()
        self._write(_Files.flush)

    def _write(self, act: Callable[..., None], *arguments: object) -> None:
        if self._files is None or self.error is not None:
            return
        try:
            act(self._files, *arguments)
        except OSError as error:
            self.error = error


class _Files:
    """The files of the run, and those of the test that runs."""

    def __init__(self, board: str, kept: ConsoleFolder) -> None:
        self._board = board
        self._folder = kept.folder
        self._key = kept.run
        self._run: RunConsoleFiles | None = None
        self._test: ConsoleFiles | None = None
        self._between: deque[Chunk] = deque()
        self._between_bytes = 0
        self.left_out_bytes = 0

    def add(self, event: Event) -> None:
        """Keep an event where it belongs."""
        self._run = self._run or RunConsoleFiles(self._folder, self._board, self._key, event.monotonic_s)
        self._run.add(event)
        if isinstance(event, Mark) and event.kind in {MarkKind.TEST_BEGINS, MarkKind.TEST_AGAIN}:
            self._begin(event)
        elif self._test is not None:
            self._test.add(event)
        elif isinstance(event, Chunk):
            self._keep_between(event)
        if isinstance(event, Mark) and event.kind is MarkKind.TEST_ENDS:
            self._end_test()

    def flush(self) -> None:
        """Have what was added in the files."""
        for record in (self._run, self._test):
            if record is not None:
                record.flush()

    def close(self) -> None:
        """Nothing more will come."""
        self._end_test()
        if self._run is not None:
            self._run.close()

    def _begin(self, mark: Mark) -> None:
        self._end_test()
        room_bytes = LITTLE_BYTES if self._run is not None and self._run.is_full else TEST_BYTES
        self._test = ConsoleFiles(self._folder, self._board, mark, self._between, room_bytes)
        self._between.clear()
        self._between_bytes = 0

    def _end_test(self) -> None:
        if self._test is not None:
            record, self._test = self._test, None
            record.close()
            self.left_out_bytes += record.left_out_bytes

    def _keep_between(self, chunk: Chunk) -> None:
        """Keep the newest of what comes between two tests: it goes in front of the second one's own."""
        self._between.append(chunk)
        self._between_bytes += len(chunk.data)
        while len(self._between) > 1 and (
            self._between_bytes > NEIGHBOUR_BYTES or len(self._between) > _NEIGHBOUR_CHUNKS
        ):
            self._between_bytes -= len(self._between.popleft().data)
