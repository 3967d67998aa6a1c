"""Too much console output fills no disk: beginning and end are kept, with a note about the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.console.transcript import Chunk, Event, Mark, MarkKind
from hil.evidence import console_file
from hil.evidence.console_file import END_BYTES, LITTLE_BYTES, ConsoleFile, ConsoleFolder, SizeLimiter
from hil.evidence.console_slices import RunConsoles
from hil.evidence.records import file_stem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest


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


def test_console_file_of_a_flood_stays_below_its_maximum_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_file, "TEST_BYTES", 1 << 20)
    for name, data in {"lines": b"\n" * 4096, "bytes": b"x", "words": b"some words\r\n" * 300}.items():
        file = flooded(tmp_path / name, 8 << 20 if len(data) > 1 else 100_000, data)

        taken_bytes = sum(path.stat().st_size for path in (tmp_path / name).iterdir())
        assert taken_bytes < LITTLE_BYTES + END_BYTES + 100_000, name
        assert file.left_out_bytes > 0


def test_console_file_of_a_full_run_still_has_room_for_each_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_file, "RUN_BYTES", 1)

    flooded(tmp_path, 16 << 20, b"x" * 4096, tests=("one", "two"))

    for test in ("one", "two"):
        kept = RunConsoles(tmp_path, "k1").slice(file_stem(test))
        assert kept is not None
        assert LITTLE_BYTES < kept.size_bytes < LITTLE_BYTES + END_BYTES + 10_000


def test_console_file_notes_what_was_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_file, "RUN_BYTES", 1)

    file = flooded(tmp_path, 16 << 20, b"0123456789abcdef" * 256)

    kept = RunConsoles(tmp_path, "k1").slice(file_stem("one"))
    assert kept is not None
    assert file.left_out_bytes + kept.size_bytes == 16 << 20
    assert [str(mark) for mark in kept.marks] == [
        "test begins: one",
        f"{file.left_out_bytes} bytes are left out here: the console said too much to keep it all",
        "test ends: one",
    ]


def test_console_file_goes_on_after_a_line_that_a_kill_has_cut(tmp_path: Path) -> None:
    flooded(tmp_path, 10, b"x")
    index = tmp_path / "run-5a1c0e01.jsonl"
    index.write_text(index.read_text()[:-9])

    flooded(tmp_path, 10, b"y", tests=("two",))

    kept = RunConsoles(tmp_path, "k1").slice(file_stem("two"))
    assert kept is not None
    assert kept.read(0, 100) == [(0, b"y" * 10, False)]


def flooded(folder: Path, size_bytes: int, data: bytes, tests: Sequence[str] = ("one",)) -> ConsoleFile:
    """Return the closed file of tests that each got so many bytes."""
    file = ConsoleFile(ConsoleFolder(folder, "k1"), "5a1c0e01")
    for test in tests:
        file.add(Mark(0.0, 0.0, test, 0, MarkKind.TEST_BEGINS))
        for chunk in chunks(size_bytes, data):
            file.add(chunk)
        file.add(Mark(1.0, 1.0, test, 0, MarkKind.TEST_ENDS))
    file.close()
    return file
