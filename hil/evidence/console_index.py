"""The index of a console's raw file: JSON lines for chunks, for marks, and for each process that opened it.

    {"board": "0df10035", "run": "4f1c...", "offset": 0}
    [monotonic_s, time_s, offset, text, kind]
    [monotonic_s, time_s, offset, size]

Lines are only appended, so after a kill at most the last one is cut. Offsets count bytes of the raw file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.transcript import Mark, MarkKind

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BEGINS", "ChunkPlace", "Opening", "index_of", "parse", "raw_of", "to_line"]

BEGINS: Final = {MarkKind.TEST_BEGINS, MarkKind.TEST_AGAIN}
"""The marks at which an attempt of a test begins."""

_FAULTS: Final = (ValueError, TypeError, LookupError, OverflowError, RecursionError, AttributeError)


def index_of(raw: Path) -> Path:
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


def to_line(entry: Opening | ChunkPlace | Mark) -> str:
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
