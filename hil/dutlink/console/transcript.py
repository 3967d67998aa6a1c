"""Every byte of a console with the time at which it came, set here; notes of what was done to the DUT."""

from __future__ import annotations

import enum
import heapq
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["KEPT_BYTES", "Chunk", "Event", "Mark", "MarkKind", "ShellNotes", "Transcript"]

_KEPT_COMMANDS: Final = 1000


@dataclass(slots=True)
class ShellNotes:
    """Notes that, unlike the transcript's marks, no report shows.

    Attributes:
        system_at: The last position at which a system's shell had answered; -1 before that.
        commands: Begin and end of commands in a shell that may be a boot loader's.
    """

    system_at: int = -1
    commands: tuple[tuple[int, int], ...] = ()

    def system_answered(self, position: int) -> None:
        """Note that a system's shell has answered before this position."""
        self.system_at = max(self.system_at, position)

    def command_ended(self, begin: int, end: int) -> None:
        """Note that the bytes between these positions are a command's."""
        self.commands = (*self.commands, (begin, end))[-_KEPT_COMMANDS:]


KEPT_BYTES = 32 * 1024 * 1024
"""The newest bytes that a transcript keeps: 48 minutes of a DUT that never pauses at 115200 baud."""

_KEPT_CHUNKS = 200_000
"""A chunk takes some 200 bytes in addition to its data, so chunks of single bytes are limited too."""

_KEPT_MARKS = 10_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that came together.

    Attributes:
        monotonic_s: When they came, by `time.monotonic`.
        time_s: When they came, in seconds since 1970.
        data: The bytes.
        position: How many bytes came before them.
    """

    monotonic_s: float
    time_s: float
    data: bytes
    position: int = 0

    @property
    def end(self) -> int:
        """How many bytes had come when this chunk ended."""
        return self.position + len(self.data)


class MarkKind(enum.Enum):
    """What a note tells, for code that does more than show it."""

    NOTE = "note"
    TEST_BEGINS = "test begins"
    TEST_AGAIN = "test begins again"
    TEST_ENDS = "test ends"
    CONSOLE_OPEN = "the console is open"
    BLIND = "blind"
    """The bytes up to HEARD or UNSURE are the dialog with the board's shell, with the DUT's output just
    before and after it, which `hil.dutlink.console.board_shell.dut_output` returns."""
    HEARD = "the DUT is heard again"
    UNSURE = "the DUT may not be heard"
    """The board did not confirm console mode: the bytes after this note may come from its shell or the
    DUT."""
    COMMAND = "command"
    """The bytes after this note are the echo of a line that runs the command of this text; or of one that
    asks for a status, if the text is empty."""
    OPENED = "opened"
    """The bytes before this note came as the console was opened: they may have waited in the board or on this
    host while no program read the console."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A note between the bytes; times and position as in `Chunk`.

    Attributes:
        text: What happened, such as a power action; or the name of the test that begins or ends.
        kind: What it tells.
        starts_dut: Whether the DUT may start at this moment.
    """

    monotonic_s: float
    time_s: float
    text: str
    position: int = 0
    kind: MarkKind = MarkKind.NOTE
    starts_dut: bool = False

    def __str__(self) -> str:
        is_note = self.kind in {MarkKind.NOTE, MarkKind.CONSOLE_OPEN}
        return self.text if is_note else f"{self.kind.value}: {self.text}"


Event: TypeAlias = Chunk | Mark


class Transcript:
    """What came from a console since it was opened, the board's shell included.

    Beyond `kept_bytes`, or 200,000 chunks, the oldest chunks are dropped and counted. Positions count from
    the first byte that ever came, dropped or not.

    Attributes:
        shell: Notes of logins and commands, which are not events.
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
        """Add bytes that came now."""
        with self._lock:
            chunk = Chunk(time.monotonic(), time.time(), data, self.position)
            self._chunks.append(chunk)
            self._position = chunk.end
            self._size_bytes += len(data)
            while len(self._chunks) > 1 and self._is_too_much:
                oldest = self._chunks.popleft()
                self._size_bytes -= len(oldest.data)
                self._dropped_bytes += len(oldest.data)
            self._notify(chunk)

    def mark(self, text: str, kind: MarkKind = MarkKind.NOTE, *, starts_dut: bool = False) -> Mark:
        """Add a note of what happens now, and return it."""
        with self._lock:
            mark = Mark(time.monotonic(), time.time(), text, self.position, kind, starts_dut)
            self._marks.append(mark)
            self._notify(mark)
            return mark

    def listen(self, listener: Callable[[Event], None], *, from_start: bool = False) -> Callable[[], None]:
        """Call `listener` with each event from now on, and return a function that ends that.

        The thread that reads the console calls it and must not be blocked: pass the event on to another
            thread.

        Args:
            listener: Takes the events in their order.
            from_start: Call it first with the events that are kept from before.
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
        """How many bytes have come."""
        return self._position

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks that are kept, oldest first."""
        with self._lock:
            return list(self._chunks)

    @property
    def marks(self) -> list[Mark]:
        """The notes, oldest first."""
        with self._lock:
            return list(self._marks)

    @property
    def data(self) -> bytes:
        """The bytes that are kept."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def text(self) -> str:
        """The same as text, with U+FFFD for bytes that are not UTF-8."""
        return self.data.decode(errors="replace")

    @property
    def dropped_bytes(self) -> int:
        """How many bytes were dropped because memory is bounded."""
        return self._dropped_bytes

    def between(self, begin: int, end: int | None = None) -> bytes:
        """Return the bytes from position `begin` up to `end` (None: the last), as far as they are kept."""
        return b"".join(chunk.data for chunk in self.chunks_between(begin, end))

    def chunks_between(self, begin: int, end: int | None = None) -> list[Chunk]:
        """Return the same as chunks; the first and the last are cut to fit."""
        with self._lock:
            last = self.position if end is None else end
            fitting = list(_newest_until(self._chunks, begin))
        return [_cut(chunk, begin, last) for chunk in reversed(fitting) if chunk.position < last]

    def events_between(self, begin: Mark, end: Mark | None = None) -> list[Event]:
        """Return the events that are kept after one note up to another (None: up to now)."""
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

    def _notify(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _merged(chunks: Iterable[Chunk], marks: Iterable[Mark]) -> Iterator[Event]:
    both: tuple[Iterable[Event], Iterable[Event]] = (chunks, marks)
    return heapq.merge(*both, key=lambda event: event.monotonic_s)


def _newest_until(chunks: deque[Chunk], begin: int) -> Iterator[Chunk]:
    """Yield chunks from the newest back to the one that holds position `begin`."""
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
