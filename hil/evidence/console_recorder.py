"""Record one console while its board is held: files of the run and of its tests, and errors found in it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, Final, Protocol

from hil.dutlink.console.queues import EventQueue
from hil.dutlink.console.transcript import Chunk, Event, Mark, MarkKind
from hil.dutlink.timing import Deadline
from hil.evidence.console_files import (
    LITTLE_BYTES,
    NEIGHBOUR_BYTES,
    TEST_BYTES,
    ConsoleFiles,
    RunConsoleFiles,
)
from hil.evidence.error_scanner import ErrorScanner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hil.dutlink.console.console import Console
    from hil.dutlink.console.transcript import Transcript

__all__ = ["ConsoleFolder", "ConsoleRecorder", "EventHandler", "TranscriptFollower"]

BATCH_S: Final = 0.5
"""Seconds that events may wait, unless `sync` is called."""

SYNC_LIMIT_S: Final = 30.0
"""Seconds that `sync` and `close` wait for a disk that takes no data."""

_QUEUED_BYTES: Final = 64 * 1024 * 1024
_LOOK_S: Final = 0.5


class EventHandler(Protocol):
    """Handles the events."""

    def handle(self, event: Event) -> None:
        """Handle the next event."""
        ...

    def end_batch(self) -> None:
        """Finish a batch: no more events wait for now."""
        ...


class TranscriptFollower:
    """Passes a transcript's events to a handler, beginning with the past ones that the transcript keeps.

    The handler runs in a thread of its own, so that the console's reader never waits for a disk. Events are
    handled in batches, at most two a second, so that sixteen busy consoles do not keep a core busy.

    Memory is bounded: if the handler hangs, waiting events beyond 64 MiB are dropped, and a note says so.

    Args:
        transcript: The transcript.
        handler: Called only in the follower's thread.
        name: Name of the thread.
    """

    def __init__(self, transcript: Transcript, handler: EventHandler, name: str) -> None:
        self._handler = handler
        self._queue: EventQueue[threading.Event | None] = EventQueue(_QUEUED_BYTES)
        self._is_urgent = threading.Event()
        self._stop_listening = transcript.listen(self._queue.put, from_start=True)
        self._worker = threading.Thread(target=self._work, name=name, daemon=True)
        self._worker.start()

    def sync(self) -> None:
        """Wait until every event up to now is handled, but not longer than `SYNC_LIMIT_S`."""
        done = threading.Event()
        self._queue.put_order(done)
        self._is_urgent.set()
        deadline = Deadline(SYNC_LIMIT_S)
        while self._worker.is_alive() and not deadline.passed and not done.wait(_LOOK_S):
            pass

    def close(self) -> None:
        """Handle the events up to now, and end the thread."""
        self._stop_listening()
        self._queue.put_order(None)
        self._is_urgent.set()
        self._worker.join(SYNC_LIMIT_S)

    def _work(self) -> None:
        goes_on = True
        while goes_on:
            first = self._queue.get()
            if isinstance(first, Chunk):
                self._is_urgent.wait(BATCH_S)
            self._is_urgent.clear()
            goes_on = self._handle_all(first)

    def _handle_all(self, event: Event | threading.Event | None) -> bool:
        """Handle an event and all that wait after it; return False after the last one of all."""
        synced: list[threading.Event] = []
        try:
            while event is not None:
                if isinstance(event, threading.Event):
                    synced.append(event)
                else:
                    self._handler.handle(event)
                event = self._queue.get(block=False)
        except Empty:
            return True
        finally:
            self._handler.end_batch()
            for done in synced:
                done.set()
        return False


_NEIGHBOUR_CHUNKS = 10_000


@dataclass(frozen=True, slots=True)
class ConsoleFolder:
    """The folder for the files of consoles.

    Attributes:
        folder: The folder; it is created if missing.
        run: Key of the run; files of an earlier run are overwritten.
    """

    folder: Path
    run: str = ""


class ConsoleRecorder:
    """Records a console's output from its opening on, and searches it for errors.

    Args:
        console: The console.
        board: The board's serial number.
        kept: Folder for the files; None to write none.
        watch: Further error patterns, from the lab file.

    Attributes:
        scanner: Holds the errors that were found.
        error: The error that stopped the writing of files, if any; a full disk fails no test.
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

    def begin_test(self, test: str, *, again: bool = False) -> Mark:
        """Mark the start of a test; output that reached this host before does not belong to it.

        Args:
            test: Its node id.
            again: Whether this is a rerun of the test that just ended, which appends to its files.
        """
        self._console.drain()
        kind = MarkKind.TEST_AGAIN if again else MarkKind.TEST_BEGINS
        return self._console.transcript.mark(test, kind)

    def end_test(self, test: str) -> Mark:
        """Mark the end of a test, and complete its files."""
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
        """Wait until all output so far is recorded and scanned."""
        self._follower.sync()

    def close(self) -> None:
        """Complete the files, and stop following."""
        if self.sync in self._console.on_close:
            self._console.on_close.remove(self.sync)
        self._follower.close()
        self._write(_Files.close)

    def handle(self, event: Event) -> None:
        """Record and scan an event; called by the follower."""
        if isinstance(event, Chunk):
            self.scanner.feed(event)
        self._write(_Files.add, event)

    def end_batch(self) -> None:
        """Flush the files, and scan the last line before it is complete; called by the follower."""
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
    """The files of the run and of the present test."""

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
        """Write an event to the files of the run and of the test that it belongs to."""
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
        """Flush the files."""
        for record in (self._run, self._test):
            if record is not None:
                record.flush()

    def close(self) -> None:
        """Close the files."""
        self._end_test()
        if self._run is not None:
            self._run.close()

    def _begin(self, mark: Mark) -> None:
        self._end_test()
        max_bytes = LITTLE_BYTES if self._run is not None and self._run.is_full else TEST_BYTES
        self._test = ConsoleFiles(self._folder, self._board, mark, self._between, max_bytes)
        self._between.clear()
        self._between_bytes = 0

    def _end_test(self) -> None:
        if self._test is not None:
            record, self._test = self._test, None
            record.close()
            self.left_out_bytes += record.left_out_bytes

    def _keep_between(self, chunk: Chunk) -> None:
        """Keep the newest output between two tests, which is written before the second test's own."""
        self._between.append(chunk)
        self._between_bytes += len(chunk.data)
        while len(self._between) > 1 and (
            self._between_bytes > NEIGHBOUR_BYTES or len(self._between) > _NEIGHBOUR_CHUNKS
        ):
            self._between_bytes -= len(self._between.popleft().data)
