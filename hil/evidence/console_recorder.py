"""Record one console while its board is held: its files, and the errors found in it."""

from __future__ import annotations

import threading
from queue import Empty
from typing import TYPE_CHECKING, Final, Protocol

from hil.dutlink.console.queues import EventQueue
from hil.dutlink.console.transcript import Chunk, Event, Mark, MarkKind
from hil.dutlink.timing import Deadline
from hil.evidence.console_file import ConsoleFile
from hil.evidence.error_scanner import ErrorScanner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.dutlink.console.console import Console
    from hil.dutlink.console.transcript import Transcript
    from hil.evidence.console_file import ConsoleFolder

__all__ = ["ConsoleRecorder", "EventHandler", "TranscriptFollower"]

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
        self._board = board
        self._kept = kept
        self._file: ConsoleFile | None = None
        self._follower = TranscriptFollower(console.transcript, self, f"recorder of {board}")
        console.on_close.append(self.sync)  # the next holder of the board adds to the same files

    def begin_test(self, test: str, *, again: bool = False) -> Mark:
        """Mark the start of a test; output that reached this host before does not belong to it.

        Args:
            test: Its node id.
            again: Whether this is a rerun of the test that just ended.
        """
        self._console.drain()
        kind = MarkKind.TEST_AGAIN if again else MarkKind.TEST_BEGINS
        return self._console.transcript.mark(test, kind)

    def end_test(self, test: str) -> Mark:
        """Mark the end of a test, and write all of it to the files."""
        self._console.drain()
        mark = self._console.transcript.mark(test, MarkKind.TEST_ENDS)
        self.sync()
        return mark

    def take_left_out_bytes(self) -> int:
        """Return how many bytes of tests that ended since the last call were left out of the files."""
        if self._file is None:
            return 0
        left_out, self._file.left_out_bytes = self._file.left_out_bytes, 0
        return left_out

    def sync(self) -> None:
        """Wait until all output so far is recorded and scanned."""
        self._follower.sync()

    def close(self) -> None:
        """Close the files, and stop following."""
        if self.sync in self._console.on_close:
            self._console.on_close.remove(self.sync)
        self._follower.close()
        if self._file is not None:
            self._write(ConsoleFile.close)

    def handle(self, event: Event) -> None:
        """Record and scan an event; called by the follower."""
        if isinstance(event, Chunk):
            self.scanner.feed(event)
        self._write(lambda file: file.add(event))

    def end_batch(self) -> None:
        """Flush the files, and scan the last line before it is complete; called by the follower."""
        self.scanner.scan()
        self._write(ConsoleFile.flush)

    def _write(self, act: Callable[[ConsoleFile], None]) -> None:
        if self._kept is None or self.error is not None:
            return
        try:
            self._file = self._file or ConsoleFile(self._kept, self._board)
            act(self._file)
        except OSError as error:
            self.error = error
