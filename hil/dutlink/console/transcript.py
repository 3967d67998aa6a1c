"""Every byte of a console, with the times it came, and notes of what was done to the DUT meanwhile."""

from __future__ import annotations

import enum
import heapq
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hil.dutlink.dut.shell_output import ShellNotes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["KEPT_BYTES", "Chunk", "Event", "Mark", "MarkKind", "Transcript"]

KEPT_BYTES = 32 * 1024 * 1024
"""The newest bytes that a transcript keeps: some 48 minutes of a DUT that never pauses at 115200 baud."""

_KEPT_CHUNKS = 200_000
"""A chunk takes some 200 bytes beside its data: single bytes must not fill the memory."""

_KEPT_MARKS = 10_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that came together.

    Attributes:
        monotonic_s: When, on the clock that never jumps (`time.monotonic`).
        time_s: When, in seconds since 1970.
        data: The bytes.
        position: How many bytes came before them.
    """

    monotonic_s: float
    time_s: float
    data: bytes
    position: int = 0

    @property
    def end(self) -> int:
        """How many bytes came up to their end."""
        return self.position + len(self.data)


class MarkKind(enum.Enum):
    """What a note is, for those who do more than show it."""

    NOTE = "note"
    TEST_BEGINS = "test begins"
    TEST_AGAIN = "test begins again"
    TEST_ENDS = "test ends"
    BLIND = "blind"
    """The bytes up to HEARD or UNSURE are hil's talk with the board's shell, and what the DUT said just
    before and after it; `hil.dutlink.console.board_shell.said_by_dut` returns the DUT's."""
    HEARD = "the DUT is heard again"
    UNSURE = "the DUT may not be heard"
    """The board did not confirm console mode: the bytes after this note may be of its shell or of the DUT."""
    OPENED = "opened"
    """The bytes before this note came as the console was opened: they may have waited in the board or on this
    host while no program read the console."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A note between the bytes; times and position as in `Chunk`.

    Attributes:
        text: What happened: a power action, a blind window; or the test that begins or ends.
        kind: Which of them.
    """

    monotonic_s: float
    time_s: float
    text: str
    position: int = 0
    kind: MarkKind = MarkKind.NOTE

    def __str__(self) -> str:
        return self.text if self.kind is MarkKind.NOTE else f"{self.kind.value}: {self.text}"


Event: TypeAlias = Chunk | Mark


class Transcript:
    """What a console said since it was opened, the shell's words included.

    Memory is bounded: beyond `kept_bytes`, or 200,000 chunks, the oldest are dropped, and counted. Positions
    count from the first byte that ever came, dropped or not.

    Attributes:
        shell: Notes of logins and commands, which are no events.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self.shell = ShellNotes()
        self._kept_bytes = kept_bytes
        self._chunks: deque[Chunk] = deque()
        self._marks: deque[Mark] = deque(maxlen=_KEPT_MARKS)
        self._listeners: list[Callable[[Event], None]] = []
        self._position = 0
        self._size_bytes = 0
        self._dropped_bytes = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Transcript of {self._position} bytes>"

    def append(self, data: bytes) -> None:
        """Note that these bytes came now."""
        with self._lock:
            chunk = Chunk(time.monotonic(), time.time(), data, self.position)
            self._chunks.append(chunk)
            self._position = chunk.end
            self._size_bytes += len(data)
            while len(self._chunks) > 1 and self._is_too_much:
                oldest = self._chunks.popleft()
                self._size_bytes -= len(oldest.data)
                self._dropped_bytes += len(oldest.data)
            self._tell(chunk)

    def mark(self, text: str, kind: MarkKind = MarkKind.NOTE) -> Mark:
        """Note that something happened now, and return the note."""
        with self._lock:
            mark = Mark(time.monotonic(), time.time(), text, self.position, kind)
            self._marks.append(mark)
            self._tell(mark)
            return mark

    def listen(self, listener: Callable[[Event], None], *, from_start: bool = False) -> Callable[[], None]:
        """Have each event handed to `listener` from now on; returns how to end that.

        It is called by the thread that reads the console, which must not wait: hand it on.

        Args:
            listener: Takes the events in their order.
            from_start: Hand it first what is kept of the time before.
        """
        with self._lock:
            for event in self._kept_events() if from_start else ():
                listener(event)
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    @property
    def position(self) -> int:
        """How many bytes came so far."""
        return self._position

    @property
    def chunks(self) -> list[Chunk]:
        """All that is kept, oldest first."""
        with self._lock:
            return list(self._chunks)

    @property
    def marks(self) -> list[Mark]:
        """The notes, oldest first."""
        with self._lock:
            return list(self._marks)

    @property
    def data(self) -> bytes:
        """The bytes of all that is kept."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def text(self) -> str:
        """The same as text; what is no UTF-8 becomes U+FFFD."""
        return self.data.decode(errors="replace")

    @property
    def dropped_bytes(self) -> int:
        """How many bytes were dropped for want of room."""
        return self._dropped_bytes

    def between(self, begin: int, end: int | None = None) -> bytes:
        """Return the bytes from position `begin` up to `end` (None: the last), as far as they are kept."""
        return b"".join(chunk.data for chunk in self.chunks_between(begin, end))

    def chunks_between(self, begin: int, end: int | None = None) -> list[Chunk]:
        """Return the same as chunks, the first and last cut to fit."""
        with self._lock:
            last = self.position if end is None else end
            fitting = list(_newest_until(self._chunks, begin))
        return [_cut(chunk, begin, last) for chunk in reversed(fitting) if chunk.position < last]

    def events_between(self, begin: Mark, end: Mark | None = None) -> list[Event]:
        """Return all that is kept from one note to another (None: until now), without the first note."""
        last_s = time.monotonic() if end is None else end.monotonic_s
        chunks = self.chunks_between(begin.position, None if end is None else end.position)
        marks = [mark for mark in self.marks if begin.monotonic_s < mark.monotonic_s <= last_s]
        return list(_merged(chunks, marks))

    def __len__(self) -> int:
        """How many bytes are kept."""
        return self._size_bytes

    @property
    def _is_too_much(self) -> bool:
        return self._size_bytes > self._kept_bytes or len(self._chunks) > _KEPT_CHUNKS

    def _kept_events(self) -> Iterator[Event]:
        return _merged(self._chunks, self._marks)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _merged(chunks: Iterable[Chunk], marks: Iterable[Mark]) -> Iterator[Event]:
    both: tuple[Iterable[Event], Iterable[Event]] = (chunks, marks)
    return heapq.merge(*both, key=lambda event: event.monotonic_s)


def _newest_until(chunks: deque[Chunk], begin: int) -> Iterator[Chunk]:
    """Go back from the newest chunk to the one that holds position `begin`."""
    for chunk in reversed(chunks):
        if chunk.end <= begin:
            return
        yield chunk


def _cut(chunk: Chunk, begin: int, end: int) -> Chunk:
    if chunk.position >= begin and chunk.end <= end:
        return chunk
    first = max(begin, chunk.position)
    data = chunk.data[first - chunk.position : end - chunk.position]
    return Chunk(chunk.monotonic_s, chunk.time_s, data, first)
