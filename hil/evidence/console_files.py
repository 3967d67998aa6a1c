"""The files of one test's console: bytes, lines with times, and where each byte belongs.

They grow while the test runs, so that a test that takes its process with it leaves what was said until then,
and a long one needs no memory. Once they are full the newest 2 MiB are in memory until the test ends.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TextIO

from hil.dutlink.console.transcript import Chunk, MarkKind
from hil.evidence.file_names import file_stem
from hil.evidence.size_limit import SizeLimiter
from hil.evidence.timestamped_log import TimestampedLog
from hil.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hil.dutlink.console.transcript import Event, Mark

__all__ = ["LITTLE_BYTES", "NEIGHBOUR_BYTES", "TEST_BYTES", "ConsoleFiles", "RunConsoleFiles"]

NEIGHBOUR_BYTES: Final = 1024 * 1024
"""How much of what came between two tests is kept with the second one."""

TEST_BYTES: Final = 128 * 1024 * 1024
"""How much room the files of one test take: an hour of a DUT that never pauses at 115200 baud."""

RUN_BYTES: Final = 1024 * 1024 * 1024
"""How much room a board's files of the whole run take: ten hours of such a DUT."""

LITTLE_BYTES: Final = 2 * 1024 * 1024
"""How much room a test's files take in a run whose own files are full, or when a test is repeated."""

_MOST_MARKS: Final = 10_000


class ConsoleFiles:
    """Three files for a test, `STEM.raw`, `.txt` and `.json`; described in docs/console.md.

    Those of a test that is repeated go on, so that all attempts are in them.

    Args:
        folder: Where; it is made if need be.
        board: The board's serial number.
        began: The note of the test's begin, which is named by it.
        neighbour: What came between the test before and that.
        most_bytes: How much room they may take; see `SizeLimiter`.

    Raises:
        OSError: They cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        board: str,
        began: Mark,
        neighbour: Iterable[Chunk],
        most_bytes: int = TEST_BYTES,
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
        self._lines.head(f"console of board {board}: {test}")
        self._marks: list[list[object]] = earlier.get("marks", [])
        self._neighbour: list[list[int]] = earlier.get("neighbour", [])
        self._size_bytes = self._raw.tell()
        room_bytes = most_bytes - self._size_bytes - lines.tell()
        self._part = SizeLimiter(max(room_bytes, LITTLE_BYTES), self._keep)
        self._separator = ""
        self._index.write(json.dumps({"nodeid": test, "board": board})[:-1] + ', "chunks": [')
        for place in earlier.get("chunks", []):
            self._add_place(place)
        self._add_neighbour(neighbour)
        self.add(began)

    @property
    def left_out_bytes(self) -> int:
        """How many bytes were left out because there were too many; complete once it is closed."""
        return self._part.left_out_bytes

    def add(self, event: Event) -> None:
        """Keep one event, unless there are too many."""
        self._part.add(event)

    def _keep(self, event: Event) -> None:
        """Keep one event; a note's offset is that of the bytes before it."""
        if isinstance(event, Chunk):
            self._add_chunk(event)
            return
        self._lines.add(event)
        if len(self._marks) < _MOST_MARKS:
            self._marks.append([event.monotonic_s, event.time_s, self._size_bytes, str(event)])

    def flush(self) -> None:
        """Have what was added in the files."""
        for file in (self._raw, self._index):
            file.flush()

    def close(self) -> None:
        """End the list of chunks, and close the files."""
        with self._files:
            self._part.finish()
            self._lines.finish()
            self._index.write(
                f'],\n"marks": {json.dumps(self._marks)},\n"neighbour": {json.dumps(self._neighbour)}'
            )
            self._index.write("}\n")

    def _add_neighbour(self, chunks: Iterable[Chunk]) -> None:
        begin = self._size_bytes
        for chunk in chunks:
            self._add_chunk(chunk, of_neighbour=True)
        if self._size_bytes > begin:
            self._neighbour.append([begin, self._size_bytes])

    def _add_chunk(self, chunk: Chunk, *, of_neighbour: bool = False) -> None:
        self._raw.write(chunk.data)
        self._lines.add(chunk, of_neighbour=of_neighbour)
        self._add_place((chunk.monotonic_s, chunk.time_s, self._size_bytes, len(chunk.data)))
        self._size_bytes += len(chunk.data)

    def _add_place(self, place: Sequence[float]) -> None:
        monotonic_s, time_s, offset, size = place
        self._index.write(f"{self._separator}\n[{monotonic_s:.6f},{time_s:.6f},{offset},{size}]")
        self._separator = ","


def _earlier(index: Path) -> dict[str, Any]:
    """Return what an earlier attempt left; nothing where it left nothing complete."""
    with suppress(OSError, ValueError):
        found = json.loads(read_regular(index))
        return found if isinstance(found, dict) else {}
    return {}


class RunConsoleFiles:
    """Everything a board's console says during a run: `run-SERIAL.raw` and `.txt`.

    Each holder of the board adds to the same files, one after the other, as the board goes from worker to
    worker. What an earlier run left there goes.

    Args:
        folder: Where; it is made if need be.
        board: The board's serial number.
        run: Which run it is.
        start_s: When this holder opened the console, by `time.monotonic`.

    Raises:
        OSError: They cannot be written.
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
        self._lines.head(title)
        self._part = SizeLimiter(RUN_BYTES - self._raw.tell() - self._text.tell(), self._keep)

    @property
    def is_full(self) -> bool:
        """Whether its files have taken all the room that they may take."""
        return self._part.is_full

    def add(self, event: Event) -> None:
        """Keep one event, unless there are too many."""
        self._part.add(event)

    def _keep(self, event: Event) -> None:
        if isinstance(event, Chunk):
            self._raw.write(event.data)
        self._lines.add(event)

    def flush(self) -> None:
        """Have whole lines, and all bytes, in the files."""
        self._raw.flush()
        self._text.flush()

    def close(self) -> None:
        """Close the files."""
        with self._files:
            self._part.finish()
            self._lines.finish()


def _first_line(path: Path) -> str:
    """Return the first line of a file; empty where there is none."""
    with suppress(OSError), open_regular(path) as file:
        return file.readline().decode("utf-8", "replace").rstrip("\n")
    return ""
