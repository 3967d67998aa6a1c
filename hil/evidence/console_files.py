"""The files of a test's console and of a run's: raw bytes, lines with times, and an index.

They grow while the test runs, so that a test that kills its process still leaves the output up to then, and a
long test needs no memory. Once they are full, the newest 2 MiB stay in memory until the test ends.
"""

from __future__ import annotations

import json
from collections import deque
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TextIO

from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.records import file_stem
from hil.evidence.timestamped_log import TimestampedLog
from hil.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hil.dutlink.console.transcript import Event

__all__ = [
    "END_BYTES",
    "LITTLE_BYTES",
    "NEIGHBOUR_BYTES",
    "TEST_BYTES",
    "ConsoleFiles",
    "RunConsoleFiles",
    "SizeLimiter",
]

END_BYTES: Final = 2 * 1024 * 1024
"""Bytes of files for the last events, which are kept after a gap."""

_COPIES: Final = 2
_LINE_BYTES: Final = 40
_CHUNK_BYTES: Final = 512
"""Estimated bytes for a line's time in a text file, and for a chunk's entry in an index."""


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
                self._free_bytes -= _file_bytes(event.data)
            return
        self._end.append(event)
        if isinstance(event, Chunk):
            self._end_bytes += _file_bytes(event.data)
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
        self._end_bytes -= _file_bytes(event.data)
        self.left_out_bytes += len(event.data)


def _file_bytes(data: bytes) -> int:
    """Return the approximate size of a chunk in all files: raw, as lines with times, and in the index."""
    lines = data.count(b"\n") + data.count(b"\r")
    return _COPIES * len(data) + _LINE_BYTES * lines + _CHUNK_BYTES


NEIGHBOUR_BYTES: Final = 1024 * 1024
"""How many bytes of the output between two tests are kept with the second one."""

TEST_BYTES: Final = 128 * 1024 * 1024
"""Maximum size of a test's files: an hour of uninterrupted output at 115200 baud."""

RUN_BYTES: Final = 1024 * 1024 * 1024
"""Maximum size of a board's files of a whole run: ten hours of uninterrupted output."""

LITTLE_BYTES: Final = 2 * 1024 * 1024
"""Maximum size of a test's files in a run whose own files are full, and minimum for a rerun."""

_MOST_MARKS: Final = 10_000


class ConsoleFiles:
    """Three files of a test: `STEM.raw`, `.txt` and `.json`; described in docs/console.md.

    A rerun appends to the files of its test, so that they hold all attempts.

    Args:
        folder: The folder; it is created if missing.
        board: The board's serial number.
        began: The mark of the test's start; its text is the node id.
        neighbour: Output between the previous test and this one.
        max_bytes: Maximum size of the files; see `SizeLimiter`.

    Raises:
        OSError: The files cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        board: str,
        began: Mark,
        neighbour: Iterable[Chunk],
        max_bytes: int = TEST_BYTES,
    ) -> None:
        test, stem = began.text, file_stem(began.text)
        folder.mkdir(parents=True, exist_ok=True)
        earlier = _earlier(folder / f"{stem}.json") if began.kind is MarkKind.TEST_AGAIN else {}
        mode: Literal["a", "w"] = "a" if earlier else "w"
        with ExitStack() as files:
            self._raw: BinaryIO = files.enter_context(
                (folder / f"{stem}.raw").open("ab" if earlier else "wb")
            )
            lines = files.enter_context((folder / f"{stem}.txt").open(mode, encoding="utf-8"))
            self._index: TextIO = files.enter_context((folder / f"{stem}.json").open("w", encoding="utf-8"))
            self._files = files.pop_all()
        self._lines = TimestampedLog(lines, began.monotonic_s)
        self._lines.write_header(f"console of board {board}: {test}")
        self._marks: list[list[object]] = earlier.get("marks", [])
        self._commands: deque[list[object]] = deque(earlier.get("commands", []), _MOST_MARKS)
        self._neighbour: list[list[int]] = earlier.get("neighbour", [])
        self._size_bytes = self._raw.tell()
        free_bytes = max_bytes - self._size_bytes - lines.tell()
        self._limiter = SizeLimiter(max(free_bytes, LITTLE_BYTES), self._keep)
        self._separator = ""
        self._index.write(json.dumps({"nodeid": test, "board": board})[:-1] + ', "chunks": [')
        for entry in earlier.get("chunks", []):
            self._add_to_index(entry)
        self._add_neighbour(neighbour)
        self.add(began)

    @property
    def left_out_bytes(self) -> int:
        """Bytes that were left out because the files are full; complete after `close`."""
        return self._limiter.left_out_bytes

    def add(self, event: Event) -> None:
        """Add one event, unless the files are full."""
        self._limiter.add(event)

    def _keep(self, event: Event) -> None:
        """Write one event; a mark's offset is the number of bytes before it."""
        if isinstance(event, Chunk):
            self._add_chunk(event)
            return
        self._lines.add(event)
        if event.kind is MarkKind.COMMAND:
            self._commands.append([self._size_bytes, event.text])
        elif len(self._marks) < _MOST_MARKS:
            kind = event.kind.name.lower()
            self._marks.append([event.monotonic_s, event.time_s, self._size_bytes, str(event), kind])

    def flush(self) -> None:
        """Flush the files."""
        for file in (self._raw, self._index):
            file.flush()

    def close(self) -> None:
        """Complete the index, and close the files."""
        with self._files:
            self._limiter.finish()
            self._lines.finish()
            self._index.write(
                f'],\n"marks": {json.dumps(self._marks)},\n"neighbour": {json.dumps(self._neighbour)}'
            )
            self._index.write(f',\n"commands": {json.dumps(list(self._commands))}' + "}\n")

    def _add_neighbour(self, chunks: Iterable[Chunk]) -> None:
        begin = self._size_bytes
        for chunk in chunks:
            self._add_chunk(chunk, of_neighbour=True)
        if self._size_bytes > begin:
            self._neighbour.append([begin, self._size_bytes])

    def _add_chunk(self, chunk: Chunk, *, of_neighbour: bool = False) -> None:
        self._raw.write(chunk.data)
        self._lines.add(chunk, of_neighbour=of_neighbour)
        self._add_to_index((chunk.monotonic_s, chunk.time_s, self._size_bytes, len(chunk.data)))
        self._size_bytes += len(chunk.data)

    def _add_to_index(self, entry: Sequence[float]) -> None:
        monotonic_s, time_s, offset, size = entry
        self._index.write(f"{self._separator}\n[{monotonic_s:.6f},{time_s:.6f},{offset},{size}]")
        self._separator = ","


def _earlier(index: Path) -> dict[str, Any]:
    """Return the index of an earlier attempt; empty if there is no complete one."""
    with suppress(OSError, ValueError):
        found = json.loads(read_regular(index))
        return found if isinstance(found, dict) else {}
    return {}


class RunConsoleFiles:
    """The files of a board's console for a whole run: `run-SERIAL.raw` and `.txt`.

    Workers that hold the board one after the other append to the same files. Files of an earlier run are
    overwritten.

    Args:
        folder: The folder; it is created if missing.
        board: The board's serial number.
        run: Key of the run.
        start_s: Time at which this process opened the console, by `time.monotonic`.

    Raises:
        OSError: The files cannot be written.
    """

    def __init__(self, folder: Path, board: str, run: str, start_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        raw, text = folder / f"run-{board}.raw", folder / f"run-{board}.txt"
        title = f"console of board {board}, from each lease to its release, in run {run or '-'}"
        goes_on = _first_line(text) == f"# {title}"
        with ExitStack() as files:
            self._raw: BinaryIO = files.enter_context(raw.open("ab" if goes_on else "wb"))
            lines = text.open("a" if goes_on else "w", encoding="utf-8")
            self._text: TextIO = files.enter_context(lines)
            self._files = files.pop_all()
        self._lines = TimestampedLog(self._text, start_s)
        self._lines.write_header(title)
        self._limiter = SizeLimiter(RUN_BYTES - self._raw.tell() - self._text.tell(), self._keep)

    @property
    def is_full(self) -> bool:
        """Whether the files have reached their maximum size."""
        return self._limiter.is_full

    def add(self, event: Event) -> None:
        """Add one event, unless the files are full."""
        self._limiter.add(event)

    def _keep(self, event: Event) -> None:
        if isinstance(event, Chunk):
            self._raw.write(event.data)
        self._lines.add(event)

    def flush(self) -> None:
        """Flush the files; an incomplete line stays in memory."""
        self._raw.flush()
        self._text.flush()

    def close(self) -> None:
        """Close the files."""
        with self._files:
            self._limiter.finish()
            self._lines.finish()


def _first_line(path: Path) -> str:
    """Return the first line of a file; empty if it cannot be read."""
    with suppress(OSError), open_regular(path) as file:
        return file.readline().decode("utf-8", "replace").rstrip("\n")
    return ""
