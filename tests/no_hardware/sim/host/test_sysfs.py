"""The `/sys`-like folder, compared with Linux' own `/sys`."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.image import build_image
from hil.sim.host.sysfs import SysDisk, SysFolder, UsbNames
from hil.sim.stick.partitions import PARTITION_TABLE_BYTES, Partition, find_partitions

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
REAL = Path("/sys/block")


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    return tmp_path / "sys"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    build_image(tmp_path / "stick.img", "told", 8 * MIB)
    return tmp_path / "stick.img"


@pytest.fixture
def disk(sys: Path) -> Iterator[SysDisk]:
    disk = SysFolder(sys).disk(0, "sda", "2-1", UsbNames("1209", "0001", "HIL", "Simulated Stick", "AB12"))
    yield disk
    disk.hide()


def told(sys: Path, name: str) -> str:
    return (sys / "block/sda" / name).read_text().strip()


def everything(sys: Path) -> list[Path]:
    return [path for path in sys.rglob("*") if path.is_symlink() or path.is_file()]


def test_sysfs_lists_a_removable_usb_disk(sys: Path, disk: SysDisk, file: Path) -> None:
    disk.show(file)

    facts = [told(sys, name) for name in ("size", "removable", "ro", "queue/logical_block_size")]
    assert facts == [str(8 * MIB // 512), "1", "0", "512"]
    usb = (sys / "bus/usb/devices/2-1").resolve()
    assert (sys / "block/sda").resolve().is_relative_to(usb)
    assert (usb / "serial").read_text() == "AB12\n"


def test_sysfs_finds_a_disk_by_its_number_text(sys: Path, disk: SysDisk, file: Path) -> None:
    disk.show(file)

    status = file.stat()
    identity = f"file-{status.st_dev}-{status.st_ino}"
    assert told(sys, "dev") == identity
    assert (sys / "dev/block" / identity).resolve() == (sys / "block/sda").resolve()


def test_sysfs_lists_partitions(sys: Path, disk: SysDisk, file: Path) -> None:
    disk.show(file)

    assert [told(sys, f"sda1/{name}") for name in ("partition", "start", "size")] == ["1", "2048", "14336"]
    number = told(sys, "sda1/dev")
    assert (sys / "dev/block" / number).resolve() == (sys / "class/block/sda1").resolve()


def test_sysfs_entry_leaves_no_file_when_hidden(sys: Path, disk: SysDisk, file: Path) -> None:
    before = everything(sys)
    disk.show(file)

    disk.hide()

    assert everything(sys) == before


def test_disk_that_appears_again_has_another_sequence_number(sys: Path, disk: SysDisk, file: Path) -> None:
    disk.show(file)
    first = told(sys, "diskseq")
    disk.show(file)
    still = told(sys, "diskseq")
    disk.hide()
    disk.show(file)

    assert (first == still, told(sys, "diskseq") == first) == (True, False)


@pytest.mark.skipif(not REAL.is_dir(), reason="this machine has no /sys/block")
def test_sysfs_number_text_is_no_name_of_linux() -> None:
    names = [path.name for path in Path("/sys/dev/block").iterdir()]

    assert [name for name in names if name.startswith("file-")] == []


def test_disks_of_this_machine_have_the_same_files() -> None:
    disks = [disk for disk in REAL.iterdir() if (disk / "size").exists()] if REAL.is_dir() else []
    wanted = ("dev", "size", "removable", "ro", "holders", "queue/logical_block_size", "subsystem")

    assert [str(disk / name) for disk in disks for name in wanted if not (disk / name).exists()] == []


def gpt(*parts: tuple[int, int]) -> bytes:
    mbr = bytes(446) + struct.pack("<4xB3xII", 0xEE, 1, 0xFFFFFFFF) + bytes(48) + b"\x55\xaa"
    entries = b"".join(struct.pack("<16s16xQQ80x", b"kind".ljust(16, b"x"), *part) for part in parts)
    return (mbr + b"EFI PART".ljust(512, b"\0") + entries).ljust(PARTITION_TABLE_BYTES, b"\0")


def test_partitions_of_a_gpt_are_found() -> None:
    assert find_partitions(gpt((2048, 4095), (4096, 8191)), 8 * MIB) == [
        Partition(1, 2048, 2048),
        Partition(2, 4096, 4096),
    ]


@pytest.mark.parametrize("start", [b"", bytes(PARTITION_TABLE_BYTES), b"\xff" * PARTITION_TABLE_BYTES])
def test_disk_without_a_table_has_no_partitions(start: bytes) -> None:
    assert find_partitions(start, 8 * MIB) == []


def test_partition_beyond_the_end_of_the_disk_is_left_out() -> None:
    assert find_partitions(gpt((2048, 1 << 40)), 8 * MIB) == []
