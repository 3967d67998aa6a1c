"""Too much console output fills no disk: beginning and end are kept, with a note about the gap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.console.transcript import Chunk, Event, Mark, MarkKind
from hil.evidence.console_files import END_BYTES, LITTLE_BYTES, ConsoleFiles, SizeLimiter

if TYPE_CHECKING:
    from pathlib import Path

BEGAN = Mark(0.0, 0.0, "test_x", 0, MarkKind.TEST_BEGINS)


def chunks(size_bytes: int, data: bytes) -> list[Chunk]:
    return [Chunk(0.0, 0.0, data, position) for position in range(0, size_bytes, len(data))]


@given(st.lists(st.binary(min_size=1, max_size=100_000).map(lambda data: data * 10), max_size=30))
def test_size_limiter_passes_beginning_and_end_and_counts_the_rest(pieces: list[bytes]) -> None:
    kept: list[Event] = []
    part = SizeLimiter(1_000_000, kept.append)
    for data in pieces:
        part.add(Chunk(0.0, 0.0, data))
    part.finish()

    said, everything = b"".join(each.data for each in kept if isinstance(each, Chunk)), b"".join(pieces)
    gaps = [at for at, each in enumerate(kept) if isinstance(each, Mark)]
    assert len(said) + part.left_out_bytes == len(everything)
    assert len(gaps) == (part.left_out_bytes > 0)
    before = b"".join(each.data for each in kept[: gaps[0]] if isinstance(each, Chunk)) if gaps else said
    assert everything.startswith(before)
    assert everything.endswith(said[len(before) :])


def test_size_limiter_keeps_every_mark() -> None:
    kept: list[Event] = []
    part = SizeLimiter(1000, kept.append)
    for number in range(100):
        part.add(Chunk(0.0, 0.0, b"x" * 100_000))
        part.add(Mark(0.0, 0.0, f"power {number}"))
    part.finish()

    notes = [each.text for each in kept if isinstance(each, Mark) and each.text.startswith("power")]
    assert notes == [f"power {number}" for number in range(100)]


def test_console_files_stay_below_their_maximum_size(tmp_path: Path) -> None:
    most_bytes = 1 << 20
    for name, data in {"lines": b"\n" * 4096, "bytes": b"x", "words": b"some words\r\n" * 300}.items():
        record = ConsoleFiles(tmp_path / name, "5a1c0e01", BEGAN, [], most_bytes)
        for chunk in chunks(8 << 20 if len(data) > 1 else 100_000, data):
            record.add(chunk)
        record.close()

        taken_bytes = sum(file.stat().st_size for file in (tmp_path / name).iterdir())
        assert taken_bytes < most_bytes + LITTLE_BYTES + END_BYTES, name


def test_console_files_note_what_was_left_out(tmp_path: Path) -> None:
    record = ConsoleFiles(tmp_path, "5a1c0e01", BEGAN, [], 1)
    for chunk in chunks(16 << 20, b"0123456789abcdef" * 256):
        record.add(chunk)
    record.close()

    (raw,), (index,), (text,) = (list(tmp_path.glob(f"*.{kind}")) for kind in ("raw", "json", "txt"))
    told = f"{record.left_out_bytes} bytes are left out here: the console said too much to keep it all"
    assert record.left_out_bytes + raw.stat().st_size == 16 << 20
    assert told in text.read_text()
    assert [mark[3] for mark in json.loads(index.read_text())["marks"]] == ["test begins: test_x", told]
