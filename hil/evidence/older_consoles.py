"""Read the console files that older runs kept for each test: `STEM.raw` and the index `STEM.json`."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hil.dutlink.console.transcript import Mark, MarkKind
from hil.evidence.console_slice import ConsoleSlice, SlicePart
from hil.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_older_slice"]

_CHUNK: Final = re.compile(r"\[([0-9.e+]+), ?([0-9.e+]+), ?([0-9]+), ?([0-9]+)\]")
_EDGES: Final = (MarkKind.TEST_BEGINS, MarkKind.TEST_ENDS)
"""Kinds of marks that the oldest files tell only by the beginning of a mark's text."""


def read_older_slice(folder: Path, stem: str) -> ConsoleSlice | None:
    """Return a test's console from its own files in a folder, or None if there are none."""
    raw = folder / f"{stem}.raw"
    try:
        with open_regular(raw) as file:
            size_bytes = file.seek(0, 2)
    except OSError:
        return None
    console = ConsoleSlice([SlicePart(raw, 0, size_bytes)])
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        index = _parsed(read_regular(raw.with_suffix(".json")).decode("utf-8", "replace"))
        console.times = sorted(
            ((float(one[0]), int(one[2])) for one in index["chunks"]), key=lambda entry: entry[1]
        )
        console.marks = sorted((_mark(*one) for one in index["marks"]), key=lambda mark: mark.monotonic_s)
        console.parts = list(_parts(raw, size_bytes, index["neighbour"]))
    return console


def _parsed(text: str) -> dict[str, Any]:
    """Parse an index, or the chunks of an incomplete one, whose writer was killed."""
    with suppress(ValueError):
        found: dict[str, Any] = json.loads(text)
        return found
    return {"chunks": [one.groups() for one in _CHUNK.finditer(text)], "marks": [], "neighbour": []}


def _mark(monotonic_s: float, time_s: float, offset: int, text: str, kind: str = "", *_: object) -> Mark:
    """Return a mark; the files have its text as a person reads it."""
    known = MarkKind.__members__.get(kind.upper()) if kind else _told_by(text)
    known = known or MarkKind.NOTE
    return Mark(float(monotonic_s), float(time_s), text.removeprefix(f"{known.value}: "), int(offset), known)


def _told_by(text: str) -> MarkKind | None:
    return next((kind for kind in _EDGES if text.startswith(kind.value)), None)


def _parts(raw: Path, size_bytes: int, neighbour: list[tuple[int, int]]) -> Iterator[SlicePart]:
    """Yield the parts of a file, some of which came before an attempt of the test."""
    at = 0
    for begin, end in neighbour:
        first, last = (min(max(at, int(edge)), size_bytes) for edge in (begin, end))
        yield SlicePart(raw, at, first)
        yield SlicePart(raw, first, max(first, last), is_neighbour=True)
        at = max(first, last)
    yield SlicePart(raw, at, size_bytes)
