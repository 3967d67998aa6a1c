"""The two files of a board's console in a run: its raw bytes, and an index of chunks and marks.

The index has JSON lines for chunks, for marks, and for each process that opened the files; offsets count
bytes of the raw file. Lines are only appended, so after a kill at most the last one is cut.

    {"board": "0df10035", "run": "4f1c...", "offset": 0}
    [monotonic_s, time_s, offset, text, kind]
    [monotonic_s, time_s, offset, size]

The files grow while the run goes on, so that a test that kills its process still leaves the output up to
then, and a long test needs no memory. Once a test has used its room, its newest 2 MiB stay in memory until
it ends.
"""

from __future__ import annotations

import json
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.regular_file import open_regular, own_file_opener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.dutlink.console.transcript import Event

__all__ = [
    "BEGINS",
    "END_BYTES",
    "LITTLE_BYTES",
    "ChunkPlace",
    "ConsoleFile",
    "ConsoleFolder",
    "Opening",
    "SizeLimiter",
    "parse",
    "raw_of",
]

BEGINS: Final = {MarkKind.TEST_BEGINS, MarkKind.TEST_AGAIN}
"""The marks at which an attempt of a test begins."""

_FAULTS: Final = (ValueError, TypeError, LookupError, OverflowError, RecursionError, AttributeError)

END_BYTES: Final = 2 * 1024 * 1024
"""Bytes of files for the last events, which are kept after a gap."""

_ENTRY_BYTES: Final = 64
"""Estimated bytes for a chunk's line in the index."""

TEST_BYTES: Final = 128 * 1024 * 1024
"""Bytes of files for a test: three hours of uninterrupted output at 115200 baud."""

RUN_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of files for a board in a run: a day of uninterrupted output."""

LITTLE_BYTES: Final = 2 * 1024 * 1024
"""Bytes of files for a test after `RUN_BYTES` are used up."""


def _index_of(raw: Path) -> Path:
    """Return the path of a raw file's index."""
    return raw.with_suffix(".jsonl")


def raw_of(index: Path) -> Path:
    """Return the path of an index's raw file."""
    return index.with_suffix(".raw")


@dataclass(frozen=True, slots=True)
class Opening:
    """A process began to add to the files.

    Attributes:
        board: Serial number of the board.
        run: Key of the run.
        offset: Size of the raw file at that time.
    """

    board: str
    run: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Where the bytes of a chunk are; times as in `Chunk`."""

    monotonic_s: float
    time_s: float
    offset: int
    size_bytes: int


def _to_line(entry: Opening | ChunkPlace | Mark) -> str:
    """Return the line of an entry; a mark's position is its offset in the raw file."""
    if isinstance(entry, ChunkPlace):
        return f"[{entry.monotonic_s:.6f},{entry.time_s:.6f},{entry.offset},{entry.size_bytes}]\n"
    if isinstance(entry, Mark):
        times = round(entry.monotonic_s, 6), round(entry.time_s, 6)
        return json.dumps([*times, entry.position, entry.text, entry.kind.name.lower()]) + "\n"
    return json.dumps({"board": entry.board, "run": entry.run, "offset": entry.offset}) + "\n"


def parse(line: bytes) -> Opening | ChunkPlace | Mark | None:
    """Return the entry of a line, or None for a damaged one."""
    try:
        found = json.loads(line)
        if isinstance(found, dict):
            return Opening(str(found["board"]), str(found["run"]), int(found["offset"]))
        monotonic_s, time_s, offset, told, *kind = found
        if kind:
            known = MarkKind.__members__.get(kind[0].upper(), MarkKind.NOTE)
            return Mark(float(monotonic_s), float(time_s), str(told), int(offset), known)
        return ChunkPlace(float(monotonic_s), float(time_s), int(offset), int(told))
    except _FAULTS:
        return None


class SizeLimiter:
    """Passes events on until they fill their files; of later events only the last ones, after a note.

    Args:
        max_bytes: Maximum size of the files, without the last events.
        keep: Called with each event that is kept, in order.

    Attributes:
        left_out_bytes: Bytes of the console that were left out; complete after `finish`.
    """

    def __init__(self, max_bytes: int, keep: Callable[[Event], None]) -> None:
        self.left_out_bytes = 0
        self._free_bytes = max_bytes
        self._keep = keep
        self._end: deque[Event] = deque()
        self._end_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the files are full, so that events are no longer passed on at once."""
        return self._free_bytes <= 0

    def add(self, event: Event) -> None:
        """Take one event."""
        if not self.is_full:
            self._keep(event)
            if isinstance(event, Chunk):
                self._free_bytes -= _ENTRY_BYTES + len(event.data)
            return
        self._end.append(event)
        if isinstance(event, Chunk):
            self._end_bytes += _ENTRY_BYTES + len(event.data)
        while self._end_bytes > END_BYTES:
            self._leave_out(self._end.popleft())

    def finish(self) -> None:
        """Pass the last events on; no event may follow."""
        for event in self._end:
            if self.left_out_bytes and isinstance(event, Chunk):
                text = (
                    f"{self.left_out_bytes} bytes are left out here: the console said too much to keep it all"
                )
                self._keep(Mark(event.monotonic_s, event.time_s, text, event.position))
                break
        for event in self._end:
            self._keep(event)
        self._end.clear()

    def _leave_out(self, event: Event) -> None:
        if isinstance(event, Mark):
            self._keep(event)
            return
        self._end_bytes -= _ENTRY_BYTES + len(event.data)
        self.left_out_bytes += len(event.data)


@dataclass(frozen=True, slots=True)
class ConsoleFolder:
    """The folder for the files of consoles.

    Attributes:
        folder: The folder; it is created if missing.
        run: Key of the run; files of an earlier run are overwritten.
    """

    folder: Path
    run: str = ""

    def raw_of(self, board: str) -> Path:
        """Return the path of a board's raw file."""
        return self.folder / f"run-{board}.raw"


class ConsoleFile:
    """The files `run-SERIAL.raw` and `run-SERIAL.jsonl`, which is the index; described in docs/console.md.

    Processes that hold the board one after the other add to the same files.

    Args:
        kept: The folder.
        board: The board's serial number.

    Attributes:
        left_out_bytes: Bytes of tests that ended, which were left out because they said too much.

    Raises:
        OSError: The files cannot be written; other methods raise it too.
    """

    def __init__(self, kept: ConsoleFolder, board: str) -> None:
        kept.folder.mkdir(parents=True, exist_ok=True)
        raw = kept.raw_of(board)
        index = _index_of(raw)
        mode: Literal["ab", "wb"] = "ab" if _run_of(index) == kept.run else "wb"
        with ExitStack() as files:
            self._raw: BinaryIO = files.enter_context(open(raw, mode, opener=own_file_opener))
            self._index: BinaryIO = files.enter_context(open(index, mode, opener=own_file_opener))
            self._files = files.pop_all()
        opening = Opening(board, kept.run, self._raw.tell())
        self._write_line(opening, before="" if _ends_whole(index) else "\n")
        self._is_in_test = False
        self.left_out_bytes = 0
        self._limiter = self._new_limiter()

    def add(self, event: Event) -> None:
        """Add one event."""
        if isinstance(event, Mark) and event.kind in BEGINS:
            self._start_section(is_test=True)
        self._limiter.add(event)
        if isinstance(event, Mark) and event.kind is MarkKind.TEST_ENDS:
            self._start_section(is_test=False)

    def flush(self) -> None:
        """Write the lines of the index that wait in memory."""
        self._index.flush()

    def close(self) -> None:
        """Close the files."""
        with self._files:
            self._start_section(is_test=False)

    def _start_section(self, *, is_test: bool) -> None:
        """End a test, or what came between two tests, and give the next section its own room."""
        self._limiter.finish()
        if self._is_in_test:
            self.left_out_bytes += self._limiter.left_out_bytes
        self._is_in_test = is_test
        self._limiter = self._new_limiter()

    def _new_limiter(self) -> SizeLimiter:
        free_bytes = RUN_BYTES - self._raw.tell() - self._index.tell()
        return SizeLimiter(max(min(TEST_BYTES, free_bytes), LITTLE_BYTES), self._keep)

    def _keep(self, event: Event) -> None:
        """Write an event. A chunk's bytes are in the raw file before the index names them."""
        if isinstance(event, Mark):
            self._write_line(replace(event, position=self._raw.tell()))
            return
        self._raw.write(event.data)
        self._raw.flush()
        size_bytes = len(event.data)
        offset = self._raw.tell() - size_bytes
        self._write_line(ChunkPlace(event.monotonic_s, event.time_s, offset, size_bytes))

    def _write_line(self, entry: Opening | ChunkPlace | Mark, before: str = "") -> None:
        self._index.write(f"{before}{_to_line(entry)}".encode())


def _run_of(index: Path) -> str | None:
    """Return the key of the run that an index is of, or None if it cannot be read."""
    with suppress(OSError), open_regular(index) as file:
        first = parse(file.readline())
        return first.run if isinstance(first, Opening) else None
    return None


def _ends_whole(index: Path) -> bool:
    """Return True if no process was killed while it wrote the last line."""
    with open_regular(index) as file:
        size_bytes = file.seek(0, 2)
        file.seek(max(0, size_bytes - 1))
        return file.read() in {b"", b"\n"}
