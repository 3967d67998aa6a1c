"""The bytes of a simulated stick: access by host and DUT, and faults."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.sim.stick.faulty_store import FaultyStore, StickFaults
from hil.sim.stick.file import StickFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE_BYTES = 8 << 20


@pytest.fixture
def stick_file(tmp_path: Path) -> Iterator[StickFile]:
    stick_file = StickFile(tmp_path / "stick.img", SIZE_BYTES)
    yield stick_file
    stick_file.close()


def test_new_stick_file_is_sparse(stick_file: StickFile) -> None:
    status = stick_file.path.stat()

    assert (status.st_size, status.st_blocks) == (SIZE_BYTES, 0)


def test_stick_file_returns_written_bytes(stick_file: StickFile) -> None:
    stick_file.write(4096, b"image")

    assert stick_file.read(4095, 7) == b"\0image\0"


def test_stick_file_refuses_a_write_beyond_its_end(stick_file: StickFile) -> None:
    with pytest.raises(OSError, match="No space left"):
        stick_file.write(SIZE_BYTES - 1, b"12")


def test_stick_file_keeps_its_bytes_over_a_restart(tmp_path: Path, stick_file: StickFile) -> None:
    stick_file.write(0, b"kept")
    again = StickFile(tmp_path / "stick.img", SIZE_BYTES)

    assert again.read(0, 4) == b"kept"
    again.close()


def test_stick_file_keeps_bytes_that_the_host_wrote(stick_file: StickFile) -> None:
    with stick_file.path.open("r+b") as host:
        host.write(b"flashed")

    stick_file.revoke_host_access()

    assert stick_file.read(0, 7) == b"flashed"


def test_stick_file_ignores_writes_of_a_host_that_kept_it_open(stick_file: StickFile) -> None:
    with stick_file.path.open("r+b", buffering=0) as host:
        host.write(b"flashed")
        stick_file.revoke_host_access()
        host.seek(0)
        host.write(b"too late")

    assert stick_file.read(0, 8) == b"flashed\0"


def test_stick_file_is_not_copied_if_no_host_process_has_it_open(stick_file: StickFile) -> None:
    before = stick_file.path.stat().st_ino

    stick_file.revoke_host_access()

    assert stick_file.path.stat().st_ino == before


def test_stick_file_keeps_holes_in_a_copy(stick_file: StickFile) -> None:
    with stick_file.path.open("r+b", buffering=0) as host:
        host.seek(SIZE_BYTES // 2)
        host.write(b"middle")
        stick_file.revoke_host_access()

    assert stick_file.path.stat().st_blocks * 512 <= 64 << 10
    assert stick_file.read(SIZE_BYTES // 2, 6) == b"middle"


@pytest.mark.parametrize("length", [0, SIZE_BYTES * 2])
def test_stick_file_keeps_its_size(stick_file: StickFile, length: int) -> None:
    os.truncate(stick_file.path, length)

    stick_file.revoke_host_access()

    assert stick_file.path.stat().st_size == SIZE_BYTES


def test_failing_stick_refuses_reads(stick_file: StickFile) -> None:
    faults = StickFaults()
    faults.failing = True

    with pytest.raises(OSError, match="Input/output error"):
        FaultyStore(stick_file, faults).read(0, 512)


def test_failing_stick_fails_after_some_bytes(stick_file: StickFile) -> None:
    faults = StickFaults()
    store = FaultyStore(stick_file, faults)
    faults.failing, faults.after_bytes = True, 1024
    store.write(0, bytes(1024))

    with pytest.raises(OSError, match="Input/output error"):
        store.write(1024, b"x")


@given(st.integers(1, 50), st.lists(st.binary(max_size=60), max_size=8))
def test_every_nth_written_byte_gets_one_bit_flipped(every: int, pieces: list[bytes]) -> None:
    faults = StickFaults()
    faults.flip_every = every

    spoiled = b"".join(faults.flip_bits(piece) for piece in pieces)

    expected = bytes(byte ^ ((at + 1) % every == 0) for at, byte in enumerate(b"".join(pieces)))
    assert spoiled == expected
