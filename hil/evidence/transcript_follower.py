"""Follows a transcript in a thread of its own, so that the console's reader never waits for a disk.

Events are handled together, twice a second at most: sixteen consoles that never pause must not keep a
core busy.
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

__all__ = ["Handler", "TranscriptFollower"]

EVERY_S: Final = 0.5
"""How long events may wait, in seconds, unless somebody asks for them."""

PATIENCE_S: Final = 30.0
"""Seconds after which a disk that takes nothing is not waited for."""

_QUEUED_BYTES: Final = 64 * 1024 * 1024
_LOOK_S: Final = 0.5


class Handler(Protocol):
    """Does something with the events."""

    def handle(self, event: Event) -> None:
        """Take the next one."""
        ...

    def pause(self) -> None:
        """Nothing more waits for now."""
        ...


class TranscriptFollower:
    """Hands a transcript's events to a handler, the kept ones of the past first.

    Memory is bounded: what a handler that hangs leaves waiting beyond 64 MiB is dropped, and a note says so.

    Args:
        transcript: Which.
        handler: Called by the follower's thread alone.
        name: The thread's.
    """

    def __init__(self, transcript: Transcript, handler: Handler, name: str) -> None:
        self._handler = handler
        self._queue: EventQueue[threading.Event | None] = EventQueue(_QUEUED_BYTES)
        self._asked = threading.Event()
        self._stop_listening = transcript.listen(self._queue.put, from_start=True)
        self._worker = threading.Thread(target=self._work, name=name, daemon=True)
        self._worker.start()

    def sync(self) -> None:
        """Return when every event up to now is handled."""
        done = threading.Event()
        self._queue.put_order(done)
        self._asked.set()
        deadline = Deadline(PATIENCE_S)
        while self._worker.is_alive() and not deadline.passed and not done.wait(_LOOK_S):
            pass

    def close(self) -> None:
        """Handle what came until now, and end."""
        self._stop_listening()
        self._queue.put_order(None)
        self._asked.set()
        self._worker.join(PATIENCE_S)

    def _work(self) -> None:
        going_on = True
        while going_on:
            first = self._queue.get()
            if isinstance(first, Chunk):
                self._asked.wait(EVERY_S)
            self._asked.clear()
            going_on = self._handle_all(first)

    def _handle_all(self, event: Event | threading.Event | None) -> bool:
        """Handle an event and all that wait behind it; False behind the last one ever."""
        asking: list[threading.Event] = []
        try:
            while event is not None:
                if isinstance(event, threading.Event):
                    asking.append(event)
                else:
                    self._handler.handle(event)
                event = self._queue.get(block=False)
        except Empty:
            return True
        finally:
            self._handler.pause()
            for each in asking:
                each.set()
        return False
