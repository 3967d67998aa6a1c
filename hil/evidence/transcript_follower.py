"""Handle a transcript's events in a thread of its own, so that the console's reader never waits for a disk.

Events are handled in batches, at most two a second, so that sixteen busy consoles do not keep a core busy.
"""

from __future__ import annotations

import threading
from queue import Empty
from typing import TYPE_CHECKING, Final, Protocol

from hil.dutlink.console.event_queue import EventQueue
from hil.dutlink.console.transcript import Chunk, Event
from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from hil.dutlink.console.transcript import Transcript

__all__ = ["EventHandler", "TranscriptFollower"]

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
