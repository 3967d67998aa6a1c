"""Flashing a stick that is a plain file: what is written and verified, and the stick after failures."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import FlashError, ImageError, StickLostError, StorageError, WrongDiskError
from hil.flash.disk import disk as disk_module
from hil.flash.disk.disk import allocate_buffer
from hil.flash.flash_image import flash_image
from hil.flash.formats.open import open_image
from hil.flash.progress import NoProgress
from hil.flash.sparse_file import SparseFile
from hil.sim.dut.image import build_image, read_image
from hil.sim.stick.file import StickFile
from tests.support.disk_bench import MIB, StickBench
from tests.support.image_makers import BLOCK, COMPRESSORS, android_sparse, bmap_of, content, write_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.flash.results import Flashed

RANDOM = random.Random(7)  # noqa: S311 - content, no secret
IMAGE_BYTES = 10 * MIB
WRITES = 6
"""Of an image on such a stick: the wiped head, three pieces, the head without its start, its start."""


def rarely(value: Any) -> Any:
    """A parameter that ordinary runs leave to thorough ones."""
    return pytest.param(value, marks=pytest.mark.thorough)


EACH_WRITE = [number if number % 2 else rarely(number) for number in range(1, WRITES + 1)]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StickBench:
    monkeypatch.setattr(disk_module, "_LEAVES_WITHIN_S", 0.0)
    return StickBench(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A bootable image, dense after its first sector."""
    path = tmp_path / "image.img"
    build_image(path, "tested", IMAGE_BYTES)
    with path.open("r+b") as file:
        file.seek(512)
        file.write(RANDOM.randbytes(IMAGE_BYTES - 512))
    return path


class Told:
    """Records the progress, and calls a function after a number of steps of a phase."""

    def __init__(self, phase: str = "", steps: int = 0, act: Callable[[], None] = lambda: None) -> None:
        self.phases: list[tuple[str, int | None]] = []
        self.done: list[int] = []
        self.open = 0
        self._phase, self._steps, self._act = phase, steps, act

    def begin(self, phase: str, total_bytes: int | None) -> None:
        self.phases.append((phase, total_bytes))
        self.done.append(0)
        self.open += 1

    def advance(self, size_bytes: int) -> None:
        self.done[-1] += size_bytes
        if self.phases[-1][0] == self._phase:
            self._steps -= 1
            if self._steps == 0:
                self._act()

    def end(self) -> None:
        self.open -= 1


def flash(  # noqa: PLR0913 - as the function has it
    bench: StickBench,
    image: Path,
    progress: Any = None,
    *,
    force: bool = False,
    earlier: Flashed | None = None,
    mark_unverified: Callable[[str], None] = lambda _label: None,
) -> Flashed:
    return flash_image(
        bench.claim,
        open_image(image),
        progress or NoProgress(),
        force=force,
        earlier=earlier,
        mark_unverified=mark_unverified,
    )


def boots(bench: StickBench) -> bool:
    store = StickFile(bench.file, bench.file.stat().st_size)
    try:
        return read_image(store) is not None
    finally:
        store.close()


def interrupt() -> None:
    raise KeyboardInterrupt


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# what it does


def test_flash_image_writes_the_image_and_keeps_bytes_after_it(bench: StickBench, image: Path) -> None:
    flashed = flash(bench, image)

    assert bench.content() == image.read_bytes() + b"\xee" * (bench.file.stat().st_size - IMAGE_BYTES)
    assert (flashed.label, flashed.size_bytes, flashed.written_bytes) == (
        "image.img",
        IMAGE_BYTES,
        IMAGE_BYTES,
    )


def test_flash_image_reads_everything_back_after_reattaching(bench: StickBench, image: Path) -> None:
    told = Told()

    flashed = flash(bench, image, told)

    assert bench.claims == 2
    assert [phase for phase, _ in told.phases] == ["compare", "write", "verify"]
    assert sum(told.done[2:]) == IMAGE_BYTES
    assert sum(told.done[:2]) == flashed.mapped_bytes
    assert told.open == 0


def test_flash_image_trusts_the_fingerprint_of_an_unused_stick(bench: StickBench, image: Path) -> None:
    proven = flash(bench, image)
    told = Told()

    again = flash(bench, image, told, earlier=proven)

    assert (again.was_written, again.mapped_bytes, told.phases) == (False, proven.mapped_bytes, [])


@pytest.mark.parametrize("at", [0, 511, MIB - 1, MIB, 5 * MIB + 1080])
def test_flash_image_reads_a_stick_whose_fingerprint_changed(bench: StickBench, image: Path, at: int) -> None:
    proven = flash(bench, image)
    with bench.file.open("r+b") as file:
        file.seek(at)
        file.write(bytes([image.read_bytes()[at] ^ 1]))

    again = flash(bench, image, earlier=proven)

    assert again.was_written
    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


def test_flash_image_reads_another_stick_with_the_same_bytes(bench: StickBench, image: Path) -> None:
    proven = flash(bench, image)
    bench.go()
    bench.file.write_bytes(bench.file.read_bytes() + bytes(MIB))
    told = Told()

    flash(bench, image, told, earlier=proven)

    assert told.phases == [("compare", IMAGE_BYTES)]


def test_flash_image_with_force_ignores_the_fingerprint(bench: StickBench, image: Path) -> None:
    proven = flash(bench, image)

    assert flash(bench, image, force=True, earlier=proven).was_written


def test_flash_image_only_reads_a_stick_that_holds_the_image(bench: StickBench, image: Path) -> None:
    flash(bench, image)
    before = bench.file.stat().st_mtime_ns
    bench.claims = 0

    again = flash(bench, image)

    assert (again.was_written, again.written_bytes, bench.claims) == (False, 0, 1)
    assert bench.file.stat().st_mtime_ns == before


def test_flash_image_with_force_writes_a_stick_that_holds_the_image(bench: StickBench, image: Path) -> None:
    flash(bench, image)

    assert flash(bench, image, force=True).written_bytes == IMAGE_BYTES


@pytest.mark.parametrize("at", [MIB, 5 * MIB + 1, IMAGE_BYTES - 1])
def test_flash_image_rewrites_only_a_changed_chunk(bench: StickBench, image: Path, at: int) -> None:
    flash(bench, image)
    with bench.file.open("r+b") as file:
        file.seek(at)
        file.write(bytes([image.read_bytes()[at] ^ 1]))

    again = flash(bench, image)

    assert 0 < again.written_bytes <= 5 * MIB
    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


@pytest.mark.parametrize("at", [0, 510, MIB - 1])
def test_flash_image_rewrites_only_a_changed_boot_region(bench: StickBench, image: Path, at: int) -> None:
    flash(bench, image)
    with bench.file.open("r+b") as file:
        file.seek(at)
        file.write(bytes([image.read_bytes()[at] ^ 1]))

    again = flash(bench, image)

    assert again.written_bytes == MIB
    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


def test_flash_image_stops_comparing_another_image(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = disk_module.Disk.read
    monkeypatch.setattr(disk_module.Disk, "read", lambda *given: (read.append(given[3]), original(*given))[1])

    flash(bench, image, Told("write", 2, lambda: read.append(-1)))

    assert sum(read[: read.index(-1)]) <= 8 * MIB


BLOCKS: list[bytes | None] = [None if number % 50 == 2 else RANDOM.randbytes(BLOCK) for number in range(600)]


def raw(path: Path) -> Path:
    return write_blocks(path / "raw.img", BLOCKS)


def packed(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"packed.{name}"
        path.write_bytes(COMPRESSORS[name](raw(folder).read_bytes()))
        return path

    return make


def mapped(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def make_both(folder: Path) -> Path:
        path = make(folder)
        path.with_name(f"{path.name}.bmap").write_bytes(bmap_of(BLOCKS))
        return path

    return make_both


def of(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "image.img").write_bytes(content)
        return folder / "image.img"

    return make


FORMATS = {
    "raw": raw,
    "raw with map": mapped(raw),
    "android sparse": of(android_sparse(BLOCKS)),
    "of an odd size": of(RANDOM.randbytes(3 * MIB + 1237)),
    "tiny": of(b"\x55\xaa"),
}
FORMATS |= {name: packed(name) for name in COMPRESSORS}
FORMATS |= {f"{name} with map": mapped(packed(name)) for name in COMPRESSORS}


@pytest.mark.parametrize("name", FORMATS)
def test_flash_image_writes_every_format(bench: StickBench, tmp_path: Path, name: str) -> None:
    path = FORMATS[name](tmp_path)
    first = flash(bench, path)

    again = flash(bench, path)

    assert (first.was_written, again.was_written, again.size_bytes) == (True, False, first.size_bytes)
    on_the_stick = bench.content()
    for offset, data in content(open_image(path)).items():
        assert on_the_stick[offset : offset + len(data)] == data


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A bootable raw file with large holes, whose end is in the midst of a block."""
    image = tmp_path / "sparse.img"
    with image.open("wb") as file:
        file.write(b"\x55\xaa".rjust(512, b"\1"))
        file.seek(4 * MIB)
        file.write(b"data" * 1024)
        file.truncate(8 * MIB + 700)
    return image


@pytest.fixture(params=["the disk makes zeros by itself", "zeros are written"])
def zeroing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in which a hole becomes zeros."""
    if request.param == "zeros are written":
        monkeypatch.setattr(disk_module, "punch_hole", lambda *_: False)


@pytest.mark.usefixtures("zeroing")
def test_flash_image_zeros_holes_of_a_raw_file(bench: StickBench, sparse: Path) -> None:
    flashed = flash(bench, sparse)

    assert (flashed.size_bytes, flashed.mapped_bytes) == (8 * MIB + 700, 8192)
    assert bench.content()[: 8 * MIB + 700] == sparse.read_bytes()
    assert bench.content()[8 * MIB + 700 :] == b"\xee" * (8 * MIB - 700)


@pytest.mark.usefixtures("zeroing")
def test_flash_image_accepts_zeros_in_place_of_holes(bench: StickBench, sparse: Path) -> None:
    flash(bench, sparse)

    assert not flash(bench, sparse).was_written


@pytest.mark.usefixtures("zeroing")
def test_flash_image_zeros_one_byte_in_a_hole(bench: StickBench, sparse: Path) -> None:
    flash(bench, sparse)
    with bench.file.open("r+b") as stick:
        stick.seek(7 * MIB + 5)
        stick.write(b"x")

    assert flash(bench, sparse).was_written
    assert bench.content()[: 8 * MIB + 700] == sparse.read_bytes()


def test_flash_image_detects_a_disk_that_only_claims_to_zero(
    bench: StickBench, sparse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "punch_hole", lambda *_: True)

    with pytest.raises(FlashError, match="not on the stick") as caught:
        flash(bench, sparse)

    assert caught.value.why.startswith(f"byte {MIB} is not zero, as it should be")
    assert not boots(bench)


def test_flash_image_copies_a_stick_that_was_read_back(bench: StickBench, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    original = StickBench(tmp_path / "other", 4 * MIB)
    with original.file.open("r+b") as stick:
        stick.seek(MIB + 12345)
        stick.write(bytes(MIB))
    with original.claim() as disk, SparseFile(tmp_path / "back") as back:
        for _, data in disk.read_chunks(allocate_buffer(), 0, disk.size_bytes):
            back.write(data)

    flash(bench, tmp_path / "back")

    assert bench.content()[: 4 * MIB] == original.content()


def test_flash_image_removes_an_old_backup_partition_table(bench: StickBench, image: Path) -> None:
    with bench.file.open("r+b") as file:
        file.seek(-512, os.SEEK_END)
        file.write(b"EFI PART".ljust(512, b"\1"))

    flash(bench, image)

    assert bench.content()[-1024:] == b"\xee" * 512 + bytes(512)


def test_flash_image_fills_the_whole_stick(bench: StickBench, tmp_path: Path) -> None:
    image = tmp_path / "whole.img"
    image.write_bytes(RANDOM.randbytes(bench.file.stat().st_size))

    flash(bench, image)

    assert bench.content() == image.read_bytes()


# what goes wrong


def test_flash_image_refuses_a_too_large_image_before_writing(bench: StickBench, tmp_path: Path) -> None:
    image = tmp_path / "large.img"
    image.write_bytes(RANDOM.randbytes(bench.file.stat().st_size + 1))

    with pytest.raises(ImageError, match="larger than the stick"):
        flash(bench, image)

    assert set(bench.content()) == {0xEE}


def test_flash_image_refuses_a_too_large_archive(bench: StickBench, tmp_path: Path) -> None:
    image = tmp_path / "large.zst"
    image.write_bytes(COMPRESSORS["zstd"](RANDOM.randbytes(bench.file.stat().st_size + 1)))

    with pytest.raises(ImageError, match="larger than the stick"):
        flash(bench, image)

    assert not boots(bench)


@pytest.mark.parametrize("kept", [0.3, rarely(0.9), rarely(0.9999)])
@pytest.mark.parametrize("name", ["gzip", rarely("bzip2"), rarely("xz"), "zstd"])
def test_flash_image_of_a_truncated_archive_leaves_no_bootable_stick(
    bench: StickBench, image: Path, tmp_path: Path, name: str, kept: float
) -> None:
    whole = COMPRESSORS[name](image.read_bytes())
    archive = tmp_path / "cut"
    archive.write_bytes(whole[: int(len(whole) * kept)])
    bench.fill(16 * MIB, b"\x55\xaa"[:1])

    with pytest.raises(ImageError):
        flash(bench, archive)

    assert not boots(bench)


def test_flash_image_of_a_damaged_image_keeps_a_stick_that_holds_it(
    bench: StickBench, image: Path, tmp_path: Path
) -> None:
    flash(bench, image)
    archive = tmp_path / "cut.gz"
    archive.write_bytes(COMPRESSORS["gzip"](image.read_bytes())[:-4])

    with pytest.raises(ImageError):
        flash(bench, archive)

    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


@pytest.mark.parametrize("at", [0, 5 * MIB + BLOCK, IMAGE_BYTES - 1])
def test_flash_image_with_a_wrong_checksum_leaves_no_bootable_stick(
    bench: StickBench, image: Path, at: int
) -> None:
    data = image.read_bytes()
    blocks: list[bytes | None] = [data[begin : begin + BLOCK] for begin in range(0, IMAGE_BYTES, BLOCK)]
    for hole in range(256, len(blocks), 64):  # so that there are many ranges
        blocks[hole] = None
        data = data[: hole * BLOCK] + bytes(BLOCK) + data[(hole + 1) * BLOCK :]
    image.with_name("image.img.bmap").write_bytes(bmap_of(blocks))
    image.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    with pytest.raises(ImageError, match=r"is not what its block map image\.img\.bmap describes"):
        flash(bench, image)

    assert not boots(bench)


def faulty(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[memoryview, int, int], bytes | None]) -> None:
    """Change writes by a function of bytes, offset and number of the write; None drops a write."""
    write, count = os.pwrite, [0]

    def pwrite(descriptor: int, view: Any, at: int) -> int:
        count[0] += 1
        data = spoil(memoryview(view), at, count[0])
        if data is not None:
            block = disk_module.allocate_buffer()
            block[: len(data)] = data
            write(descriptor, memoryview(block)[: len(data)], at)
        return len(view)

    monkeypatch.setattr(disk_module.os, "pwrite", pwrite)


def flipped(view: memoryview, at: int) -> bytes:
    data = bytearray(view)
    data[at % len(data)] ^= 1 << at % 8
    return bytes(data)


@pytest.mark.parametrize("number", EACH_WRITE)
@pytest.mark.parametrize("packed", [False, rarely(True)])
def test_flash_image_detects_a_flipped_bit_in_any_write(
    bench: StickBench, image: Path, number: int, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    if packed:
        image.with_name("image.gz").write_bytes(COMPRESSORS["gzip"](image.read_bytes()))
        image = image.with_name("image.gz")
    flips = [number]

    def spoil(view: memoryview, _at: int, count: int) -> bytes:
        return flipped(view, 77_777) if count == number and flips.pop() else bytes(view)

    faulty(monkeypatch, spoil)
    with pytest.raises(FlashError):
        flash(bench, image)

    assert not flips  # there was such a write
    assert not boots(bench)


@pytest.mark.parametrize(
    ("at", "cell"),
    [(MIB, (MIB, 2 * MIB)), (6 * MIB + 77, (6 * MIB, 7 * MIB)), (IMAGE_BYTES - 1, (9 * MIB, IMAGE_BYTES))],
)
def test_flash_image_names_the_block_of_an_archive_that_differs(
    bench: StickBench, image: Path, at: int, cell: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(image, "gzip")

    faulty(monkeypatch, flipping(at))
    with pytest.raises(FlashError, match=f"bytes {cell[0]} to {cell[1] - 1} read back different"):
        flash(bench, archive)

    assert not boots(bench)


def test_flash_image_names_only_mapped_bytes_of_an_archive(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = image.read_bytes()
    blocks: list[bytes | None] = [data[begin : begin + BLOCK] for begin in range(0, IMAGE_BYTES, BLOCK)]
    begin, end = 5 * MIB // BLOCK + 3, 6 * MIB // BLOCK - 5
    for number in (*range(4 * MIB // BLOCK, begin), *range(end, len(blocks))):
        blocks[number] = None
    archive = image.with_name("archive.gz")
    archive.write_bytes(COMPRESSORS["gzip"](b"".join(block or bytes(BLOCK) for block in blocks)))
    image.with_name("archive.bmap").write_bytes(bmap_of(blocks))

    faulty(monkeypatch, flipping(5 * MIB + 4 * BLOCK))
    with pytest.raises(FlashError, match=f"bytes {begin * BLOCK} to {end * BLOCK - 1} read back different"):
        flash(bench, archive)

    assert not boots(bench)


def flipping(byte: int) -> Callable[[memoryview, int, int], bytes]:
    """Flip a bit of one byte whenever it is written."""

    def spoil(view: memoryview, at: int, _count: int) -> bytes:
        data = bytearray(view)
        if at <= byte < at + len(data):
            data[byte - at] ^= 1
        return bytes(data)

    return spoil


@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_flash_image_detects_a_dropped_write(
    bench: StickBench, image: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty(monkeypatch, lambda view, _at, count: None if count == number else bytes(view))
    with pytest.raises(FlashError):
        flash(bench, image)

    assert not boots(bench)


def test_flash_image_wipes_again_what_a_stick_flips_in_the_zeros(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flips = [False, True, True]

    def spoil(view: memoryview, at: int, _count: int) -> bytes:
        is_wipe = at == 0 and not any(view)
        flips_now = flips.pop(0) if is_wipe and flips else at <= 6 * MIB < at + len(view)
        return flipped(view, 77_777) if flips_now else bytes(view)

    faulty(monkeypatch, spoil)
    with pytest.raises(FlashError) as caught:
        flash(bench, image)

    assert not flips  # the wipe after the failed flash was spoilt twice
    assert set(bench.content()[:MIB]) == {0}
    assert "its first MiB was wiped, so that it does not boot" in caught.value.why


def test_flash_image_wipes_after_a_first_wipe_that_failed(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty(monkeypatch, lambda view, _at, count: flipped(view, 77) if count == 1 else bytes(view))
    with pytest.raises(FlashError, match="does not take what is written to it"):
        flash(bench, image)

    assert set(bench.content()[:MIB]) == {0}


def test_flash_image_reports_a_stick_that_drops_every_write(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty(monkeypatch, lambda _view, _at, _count: None)
    with pytest.raises(FlashError, match="does not take what is written to it"):
        flash(bench, image)

    assert set(bench.content()) == {0xEE}


def test_flash_image_detects_a_counterfeit_stick(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    monkeypatch.setattr(disk_module.os, "pwrite", lambda fd, view, at: write(fd, view, at % (8 * MIB)))

    with pytest.raises(FlashError):
        flash(bench, image)

    assert bench.content()[:IMAGE_BYTES] != image.read_bytes()


@pytest.mark.parametrize("number", EACH_WRITE)
@pytest.mark.parametrize("code", [errno.EIO, rarely(errno.ENOSPC)])
def test_flash_image_completes_after_a_failed_write(
    bench: StickBench, image: Path, number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(view: memoryview, _at: int, count: int) -> bytes:
        if count == number:
            raise OSError(code, os.strerror(code))
        return bytes(view)

    with monkeypatch.context() as context:
        faulty(context, spoil)
        with pytest.raises(FlashError) as caught:
            flash(bench, image)
    assert caught.value.errno == code
    assert number == 1 or not boots(bench)

    flash(bench, image)

    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


@pytest.mark.parametrize(("phase", "steps"), [("compare", 1), ("write", 1), ("write", 3), ("verify", 2)])
def test_flash_image_completes_after_a_lost_stick(
    bench: StickBench, image: Path, phase: str, steps: int
) -> None:
    with pytest.raises(StickLostError):
        flash(bench, image, Told(phase, steps, bench.go))

    assert flash(bench, image).was_written == (phase != "verify")  # by then it holds all of it
    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


@pytest.mark.parametrize(
    ("phase", "steps"),
    [("compare", 1), ("write", 1), ("write", 2), ("write", 3), ("verify", 1), ("verify", 3)],
)
def test_flash_image_interrupted_leaves_no_thread_descriptor_or_bootable_stick(
    bench: StickBench, image: Path, phase: str, steps: int
) -> None:
    bench.fill(16 * MIB)
    running, opened = threads(), descriptors()

    with pytest.raises(KeyboardInterrupt):
        flash(bench, image, Told(phase, steps, interrupt))

    assert (threads(), descriptors()) == (running, opened)
    assert not boots(bench)


def test_flash_image_keeps_what_an_interrupted_call_wrote(bench: StickBench, image: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        flash(bench, image, Told("write", 2, interrupt))

    assert flash(bench, image).written_bytes <= IMAGE_BYTES - 4 * MIB


def test_flash_image_records_a_stick_that_does_not_come_back_as_unverified(
    bench: StickBench, image: Path
) -> None:
    def fail() -> None:
        if bench.claims == 2:
            raise StorageError("it did not come back")

    bench.before_open = fail
    doubts: list[str] = []
    with pytest.raises(StorageError):
        flash(bench, image, mark_unverified=doubts.append)

    assert (boots(bench), doubts[-1]) == (True, "image.img")
    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


@pytest.mark.parametrize("boots_before", [True, False])
def test_flash_image_records_unverified_until_all_is_read_back(
    bench: StickBench, image: Path, *, boots_before: bool
) -> None:
    if boots_before:
        flash(bench, image)
    seen: list[tuple[str, bool, int]] = []

    flash(
        bench,
        image,
        force=True,
        mark_unverified=lambda label: seen.append((label, boots(bench), bench.claims % 2)),
    )

    assert seen == [("", False, 1), ("image.img", False, 1), ("", True, 0)]


def test_flash_image_clears_an_old_record_only_after_wiping(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash(bench, image)
    with image.open("r+b") as file:  # only the boot region of the next image differs
        file.seek(100_000)
        file.write(b"another head")
    faulty(monkeypatch, lambda _view, _at, _count: None)
    doubts: list[str] = []

    with pytest.raises(FlashError, match="does not take what is written to it"):
        flash(bench, image, mark_unverified=doubts.append)

    assert (boots(bench), doubts) == (True, [])


def test_flash_image_wipes_a_failed_stick_and_clears_the_record(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty(monkeypatch, flipping(6 * MIB))
    doubts: list[str] = []
    with pytest.raises(FlashError):
        flash(bench, image, mark_unverified=doubts.append)

    assert (boots(bench), doubts[-1]) == (False, "")


@pytest.mark.parametrize(
    ("leaves_a_sign", "error"),
    [(True, "changed while it was read"), (False, f"byte {6 * MIB} reads back different")],
)
def test_flash_image_detects_an_image_that_changes(
    bench: StickBench, image: Path, *, leaves_a_sign: bool, error: str
) -> None:
    before = image.stat()

    def change() -> None:
        if bench.claims == 2:
            with image.open("r+b") as file:
                file.seek(6 * MIB)
                file.write(b"a newer build")
            if not leaves_a_sign:
                os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))

    bench.before_open = change
    with pytest.raises((ImageError, FlashError), match=error):
        flash(bench, image)

    assert not boots(bench)


@pytest.mark.parametrize(
    "newer",
    [
        lambda data: b"another head" + data[12:],
        lambda data: data[: 6 * MIB] + b"newer" + data[6 * MIB + 5 :],
        lambda data: data[: 6 * MIB],
        lambda data: data + b"\xee" * 512,
    ],
)
def test_flash_image_detects_a_zstd_archive_that_changes(
    bench: StickBench, image: Path, newer: Callable[[bytes], bytes]
) -> None:
    archive = packed(image, "zstd")

    def change() -> None:
        if bench.claims == 2:
            archive.write_bytes(COMPRESSORS["zstd"](newer(image.read_bytes())))

    bench.before_open = change
    with pytest.raises(ImageError, match="archive changed while it was read"):
        flash(bench, archive)

    assert not boots(bench)


@pytest.mark.parametrize(
    "kind", ["gzip", *(pytest.param(one, marks=pytest.mark.thorough) for one in ("bzip2", "xz"))]
)
def test_flash_image_reads_a_slow_archive_once(bench: StickBench, image: Path, kind: str) -> None:
    archive = packed(image, kind)

    def remove() -> None:
        if bench.claims == 2:
            archive.unlink()

    bench.before_open = remove
    flash(bench, archive)

    assert boots(bench)
    assert bench.content()[:IMAGE_BYTES] == image.read_bytes()


def packed(image: Path, kind: str) -> Path:
    archive = image.with_name("archive")
    archive.write_bytes(COMPRESSORS[kind](image.read_bytes()))
    return archive


def test_flash_image_needs_bounded_memory(bench: StickBench, image: Path) -> None:
    made = []
    original = disk_module.mmap.mmap

    class Counting(original):  # type: ignore[misc,valid-type]
        def __new__(cls, *arguments: Any) -> Any:
            made.append(arguments[1])
            return super().__new__(cls, *arguments)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(disk_module.mmap, "mmap", Counting)
        flash(bench, image)

    assert sum(made) <= 200 * MIB  # made over all; what is touched at one time is measured in the benches


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support.disk_bench import StickBench
from tests.no_hardware.flash.test_flash_image import Told, flash

root, image, phase, steps = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
told = Told(phase, steps, lambda: os.kill(os.getpid(), signal.SIGKILL))
flash(StickBench(root), image, told, mark_unverified=(root / "doubted").write_text)
"""


@pytest.mark.parametrize(
    ("phase", "steps"),
    [("compare", 1), ("write", 1), ("write", 2), ("write", 3), ("verify", 1), ("verify", 3)],
)
def test_flash_image_killed_leaves_no_bootable_stick_off_the_record(
    tmp_path: Path, image: Path, phase: str, steps: int
) -> None:
    root = tmp_path / "killed"
    root.mkdir()
    script = [sys.executable, "-c", KILLED, str(root), str(image), phase]

    ended = subprocess.run([*script, str(steps)], check=False, timeout=60)

    assert ended.returncode == -signal.SIGKILL
    store = StickFile(root / "stick.img", 16 * MIB)
    may_boot = read_image(store) is not None
    store.close()
    assert may_boot == (phase == "verify")
    if may_boot:
        assert (root / "doubted").read_text() == "image.img"
        assert (root / "stick.img").read_bytes()[:IMAGE_BYTES] == image.read_bytes()


def test_verify_does_not_write_another_disk_with_equal_names(bench: StickBench, image: Path) -> None:
    precious = b"\x5a" * bench.file.stat().st_size

    def exchange() -> None:
        if bench.claims == 2:
            bench.file.write_bytes(precious)

    bench.before_open = exchange

    with pytest.raises((FlashError, WrongDiskError)):
        flash_image(bench.claim, open_image(image), NoProgress(), force=True)

    assert bench.content() == precious


@pytest.mark.parametrize(
    ("offsets", "is_wiped"),
    [
        pytest.param([440], True, id="head"),  # a disk's signature
        pytest.param([5 * MIB], True, id="rest"),  # a sample of the rest
        pytest.param([440, 5 * MIB], False, id="both"),
    ],
)
def test_verify_wipes_a_stick_that_matches_partly(
    bench: StickBench, image: Path, offsets: list[int], *, is_wiped: bool
) -> None:
    """Sticks with the same image differ in few bytes, so equal bytes alone do not identify a stick."""

    def exchange() -> None:
        if bench.claims == 2:
            with bench.file.open("r+b") as file:
                for offset in offsets:
                    file.seek(offset)
                    file.write(b"another's")

    bench.before_open = exchange
    doubts: list[str] = []

    error = FlashError if is_wiped else WrongDiskError
    with pytest.raises(error) as caught:
        flash(bench, image, mark_unverified=doubts.append)

    assert boots(bench) == (not is_wiped)
    assert doubts[-1] == ("" if is_wiped else "image.img")
    assert ("it does not boot" in caught.value.why) == is_wiped


def test_boot_region_wipe_after_reports_a_failed_wipe(
    bench: StickBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_view: memoryview, _at: int, _count: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def spoil() -> None:
        if bench.claims == 2:
            with bench.file.open("r+b") as file:
                file.seek(6 * MIB)
                file.write(b"lost")
            faulty(monkeypatch, fail)

    bench.before_open = spoil
    doubts: list[str] = []
    with pytest.raises(FlashError, match=r"could not be wiped .*so that it may boot"):
        flash(bench, image, mark_unverified=doubts.append)

    assert (boots(bench), doubts[-1]) == (True, "image.img")
