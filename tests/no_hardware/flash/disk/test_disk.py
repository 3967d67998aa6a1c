from __future__ import annotations

import ctypes
import errno
import os
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.errors import FlashError, StickLostError
from hil.flash.compare import are_equal, are_zeros, first_difference
from hil.flash.disk import disk as disk_module
from hil.flash.disk.disk import ALIGNED_BYTES, CHUNK_BYTES, Disk, allocate_buffer
from tests.support.disk_bench import MIB, StickBench

if TYPE_CHECKING:
    from collections.abc import Iterator

RANDOM = random.Random(11).randbytes(CHUNK_BYTES + 2 * ALIGNED_BYTES)  # noqa: S311 - content, no secret


@pytest.fixture
def bench(tmp_path: Path) -> StickBench:
    return StickBench(tmp_path, 4 * MIB)


@pytest.fixture
def disk(bench: StickBench) -> Iterator[Disk]:
    with bench.claim() as disk:
        yield disk


def put(disk: Disk, offset: int, data: bytes) -> None:
    there = allocate_buffer()
    lead = offset % ALIGNED_BYTES
    there[lead : lead + len(data)] = data
    disk.write(there, offset, len(data))


@given(offset=st.integers(0, 3 * MIB), size=st.integers(1, 3 * ALIGNED_BYTES))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_disk_write_changes_only_its_own_bytes(bench: StickBench, disk: Disk, offset: int, size: int) -> None:
    expected = bytearray(bench.content())
    expected[offset : offset + size] = RANDOM[:size]

    put(disk, offset, RANDOM[:size])

    assert bench.content() == expected
    assert bytes(disk.read(allocate_buffer(), offset, size)) == RANDOM[:size]


def test_disk_buffer_is_not_copied_by_a_fork_during_a_read() -> None:
    piece = allocate_buffer()
    first = ctypes.c_char.from_buffer(piece)
    at = ctypes.addressof(first)
    del first

    flags = flags_of_memory(at)

    assert "sh" not in flags  # private: only such is had in large pages everywhere
    assert "dc" in flags


def flags_of_memory(address: int) -> list[str]:
    """What the kernel notes of the mapping around an address (Linux: proc_pid_smaps(5), VmFlags)."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        if inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError(f"no mapping at {address:#x}")


def test_disk_transfers_bypass_the_page_cache(disk: Disk) -> None:
    assert disk._is_direct


def test_disk_works_without_direct_io(bench: StickBench, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    refused = [OSError(errno.EINVAL, "no direct transfers")]

    def refuse_once(*arguments: Any) -> int:
        if refused:
            raise refused.pop()
        return write(*arguments)

    monkeypatch.setattr(disk_module.os, "pwrite", refuse_once)
    put(disk, 4096, b"x" * 8192)

    assert bench.content()[4096:12288] == b"x" * 8192
    assert not disk._is_direct
    assert bytes(disk.read(allocate_buffer(), 4096, 8192)) == b"x" * 8192


def test_disk_write_continues_after_a_short_write(
    bench: StickBench, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    monkeypatch.setattr(
        disk_module.os, "pwrite", lambda fd, view, at: write(fd, view[: max(512, len(view) // 2)], at)
    )

    put(disk, 8192, RANDOM[:8192])

    assert bench.content()[8192:16384] == RANDOM[:8192]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.ENODEV])
def test_disk_error_of_a_present_disk_is_a_flash_error(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk_module, "_LEAVES_WITHIN_S", 0.0)
    monkeypatch.setattr(disk_module.os, "pwrite", fail)
    with pytest.raises(FlashError, match="sda failed at byte 4096") as caught:
        put(disk, 4096, b"x")

    assert caught.value.errno == number


def test_disk_error_of_a_disk_that_left_is_stick_lost(
    bench: StickBench, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        bench.go()
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(disk_module.os, "pwrite", fail)
    with pytest.raises(StickLostError):
        put(disk, 4096, b"x")


def test_disk_refuses_another_disk_under_the_same_name(bench: StickBench, disk: Disk) -> None:
    bench.go()
    bench.appear()

    with pytest.raises(StickLostError):
        put(disk, 0, b"x")


def test_disk_read_beyond_a_short_disk_fails(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, bench: StickBench
) -> None:
    monkeypatch.setattr(disk_module, "_LEAVES_WITHIN_S", 0.0)
    os.truncate(bench.file, MIB)

    with pytest.raises(FlashError, match="it ends there"):
        disk.read(allocate_buffer(), 2 * MIB, 512)


def test_disk_sync_reports_a_failed_flush(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "lost writes")

    monkeypatch.setattr(disk_module, "_LEAVES_WITHIN_S", 0.0)
    monkeypatch.setattr(disk_module.os, "fsync", fail)

    with pytest.raises(FlashError, match="did not take all"):
        disk.sync()


@given(size=st.integers(1, 600_000), at=st.integers(0, 599_999))
@settings(max_examples=50, deadline=None)
def test_first_difference_finds_one_byte(size: int, at: int) -> None:
    at %= size
    one, other = bytearray(RANDOM[:size]), bytearray(RANDOM[:size])
    assert are_equal(memoryview(one), memoryview(other))

    other[at] ^= 1

    assert not are_equal(memoryview(one), memoryview(other))
    assert first_difference(memoryview(one), memoryview(other)) == at
    assert are_zeros(memoryview(bytes(size)))
    assert not are_zeros(memoryview(bytes(at) + b"\1"))
