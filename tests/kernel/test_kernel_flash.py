"""Flashing a real block device: proof, write and read back on Linux' own usb-storage, traps beside it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.dutlink.timing import until
from hil.dutlink.wiring import Wiring
from hil.errors import FlashError, ImageError, StickLostError, StorageError, WrongDiskError
from hil.flash.disk.open_verified import ExpectedDisk, open_verified
from hil.flash.disk.sysfs import list_disks
from hil.sim.dut.image import build_image
from tests.kernel.dut_talk import answer, boot_and_log_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board
    from tests.kernel.attached import Bench

# A stick comes and goes up to eight times in one test; each takes a few seconds.
pytestmark = pytest.mark.timeout(400)

SYS = Path("/sys")
MIB = 1 << 20
IMAGE_BYTES = 6 * MIB
FIRST_PARTITION_BYTES = MIB
LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual machine without KVM, on a busy machine, needs many times what a host needs."""
    monkeypatch.setattr("hil.dutlink.storage.storage.APPEARS_WITHIN_S", LIMIT_S)
    monkeypatch.setattr("hil.dutlink.storage.stick_mux.APPEARS_WITHIN_S", LIMIT_S)
    monkeypatch.setattr("hil.dutlink.storage.storage.GOES_WITHIN_S", LIMIT_S)
    monkeypatch.setattr("hil.dutlink.storage.stick_mux.GOES_WITHIN_S", LIMIT_S)


def shown(board: Board) -> Path:
    """Give the stick to the host, and wait for it."""
    if board.storage.position != "host":
        board.storage.host()
    return board.storage.wait_for_node(LIMIT_S)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Bootable, with a hole in its second MiB, and 4 MiB that no stick holds by chance."""
    path = tmp_path / "dense.img"
    build_image(path, "dense-1", IMAGE_BYTES)
    with path.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(secrets.token_bytes(IMAGE_BYTES - 2 * MIB))
    return path


@pytest.fixture
def populated(board: Board, tmp_path: Path) -> Path:
    """The stick on the host, with an ext4 in its first partition; returns the partition's node."""
    build_image(tmp_path / "table", "populated", 16 * MIB)
    file_system = tmp_path / "ext4"
    file_system.touch()
    os.truncate(file_system, 8 * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", file_system], check=True)
    node = shown(board).resolve()
    with node.open("r+b", buffering=0) as disk:
        disk.write((tmp_path / "table").read_bytes()[:FIRST_PARTITION_BYTES])
        disk.write(file_system.read_bytes())
        os.fsync(disk.fileno())
    subprocess.run(["blockdev", "--rereadpt", node], check=True)
    partition = Path(f"{node}1")
    assert until(partition.exists, LIMIT_S)
    return partition


@pytest.fixture
def other_node(other_serial: str) -> Iterator[Path]:
    """A second USB disk on this host: the other board's stick, with something precious on it."""
    with open_driver(Host(), other_serial, console=False) as other:
        node = shown(other)
        with node.open("r+b", buffering=0) as disk:
            disk.write(b"precious" * 512)
            os.fsync(disk.fileno())
        yield node
        other.make_safe()


def bytes_of(node: Path, size_bytes: int) -> bytes:
    """What the device holds now, past everything that is kept in memory."""
    command = ["dd", f"if={node}", "bs=1M", f"count={size_bytes // MIB}", "iflag=direct", "status=none"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def refusal(node: Path, before: frozenset[str] = frozenset()) -> str:
    """Why a node is not opened."""
    with pytest.raises(WrongDiskError) as caught:
        open_verified(ExpectedDisk(node, SYS, before), to_write=True)
    return caught.value.why


def test_the_dut_reads_exactly_the_image_and_the_other_usb_disk_is_as_it_was(
    board: Board, other_node: Path, image: Path
) -> None:
    flashed = board.storage.flash(image)
    board.storage.dut()
    boot_and_log_in(board)

    told = answer(board.console, f"sha256sum /dev/sda {IMAGE_BYTES}")

    assert flashed.was_written
    assert bytes_of(other_node, MIB)[:4096] == b"precious" * 512
    assert hashlib.sha256(image.read_bytes()).hexdigest() in told


def test_holes_of_an_image_are_zeros_on_a_disk_that_held_something_else(board: Board, image: Path) -> None:
    with shown(board).open("r+b", buffering=0) as disk:
        disk.seek(MIB)
        disk.write(b"\xee" * MIB)
        os.fsync(disk.fileno())

    board.storage.flash(image)

    assert bytes_of(shown(board), IMAGE_BYTES) == image.read_bytes()


def test_the_stick_is_off_after_it_was_flashed(board: Board, bench: Bench, image: Path) -> None:
    board.storage.flash(image)

    assert bench.management.state(board.serial)["mux"] == "off"


def test_an_image_that_is_there_is_read_back_and_not_written_again(
    board: Board, image: Path, tmp_path: Path
) -> None:
    board.storage.flash(image)
    board.storage.read(tmp_path / "back", size_bytes=IMAGE_BYTES)

    again = board.storage.flash(image)

    assert (tmp_path / "back").read_bytes()[2 * MIB :] == image.read_bytes()[2 * MIB :]
    assert (again.was_written, again.mapped_bytes >= IMAGE_BYTES - 2 * MIB) == (False, True)


def test_what_the_dut_changed_is_written_again_and_no_more(board: Board, image: Path) -> None:
    board.storage.flash(image)
    with shown(board).open("r+b", buffering=0) as disk:
        disk.seek(MIB)
        disk.write(b"written by the DUT".ljust(512))
        os.fsync(disk.fileno())

    again = board.storage.flash(image)

    assert 0 < again.written_bytes < 2 * MIB
    there, wanted = bytes_of(shown(board), 2 * MIB), image.read_bytes()
    assert there[: MIB + 65536] == wanted[: MIB + 65536]


def test_the_device_holds_what_dd_would_have_written(
    board: Board, image: Path, request: pytest.FixtureRequest
) -> None:
    node = shown(board)
    began = time.monotonic()
    command = ["dd", f"if={image}", f"of={node}", "bs=4M", "oflag=direct", "conv=fsync", "status=none"]
    subprocess.run(command, check=True)
    dd_s = time.monotonic() - began
    by_dd = bytes_of(node, IMAGE_BYTES)
    with node.open("r+b", buffering=0) as disk:
        disk.write(bytes(IMAGE_BYTES))
        os.fsync(disk.fileno())

    flashed = board.storage.flash(image, force=True)

    assert bytes_of(shown(board), IMAGE_BYTES) == by_dd
    told = f"6 MiB to a block device: dd {dd_s:.2f} s, our write phase {flashed.write_s:.2f} s"
    request.node.user_properties.append(("flash", told))


# what is refused


def test_a_mounted_partition_refuses_its_whole_disk(board: Board, populated: Path, tmp_path: Path) -> None:
    point = tmp_path / "mount point"
    point.mkdir()
    subprocess.run(["mount", populated, point], check=True)
    try:
        why = refusal(shown(board))
    finally:
        subprocess.run(["umount", point], check=True)

    assert why == f"{populated.name} is mounted at {point}"


def test_a_partition_that_is_swapped_to_refuses_its_whole_disk(board: Board, populated: Path) -> None:
    subprocess.run(["mkswap", "-f", populated], check=True, capture_output=True)
    subprocess.run(["swapon", populated], check=True)
    try:
        why = refusal(shown(board))
    finally:
        subprocess.run(["swapoff", populated], check=True)

    assert why == f"the kernel swaps to {populated.name}"


def test_a_disk_that_somebody_holds_exclusively_is_refused(board: Board, populated: Path) -> None:
    holder = os.open(populated, os.O_RDONLY | os.O_EXCL)
    try:
        why = refusal(shown(board))
    finally:
        os.close(holder)

    assert why == "another program uses it, or a part of it"


def test_nobody_mounts_a_disk_while_it_is_open_to_be_written(
    board: Board, populated: Path, tmp_path: Path
) -> None:
    with open_verified(ExpectedDisk(shown(board), SYS, frozenset()), to_write=True):
        mounted = subprocess.run(["mount", populated, tmp_path], check=False, capture_output=True)

    assert mounted.returncode != 0


def test_a_partition_is_refused(populated: Path) -> None:
    assert refusal(populated) == "it is a partition, not a whole disk"


@pytest.mark.usefixtures("bench")
def test_the_disks_of_this_machine_are_refused() -> None:
    disks = [disk.name for disk in Path("/sys/block").iterdir() if disk.name.startswith(("vd", "nvme"))]
    told = "it is not on USB|another program uses it|vd. is mounted at /"

    assert disks
    assert [name for name in disks if not re.match(told, refusal(Path("/dev", name)))] == []


@pytest.mark.usefixtures("own_machine")
def test_a_loop_device_is_refused(image: Path) -> None:
    before = image.read_bytes()
    subprocess.run(["modprobe", "loop"], check=False)
    told = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    loop = Path(told.stdout.strip())
    try:
        why = refusal(loop)
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)

    assert (why, image.read_bytes() == before) == (
        "it is a virtual disk, such as a loop device",
        True,
    )


def test_a_plain_file_is_refused(image: Path) -> None:
    assert refusal(image) == "the kernel lists no such disk"


def test_another_boards_stick_is_refused_where_it_is_wired(
    bench: Bench, serial: str, other_node: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.dutlink.storage.storage.GOES_WITHIN_S", 5.0)
    monkeypatch.setattr("hil.dutlink.storage.stick_mux.GOES_WITHIN_S", 5.0)
    with open_driver(Host(), serial, Wiring(stick=other_node), console=False) as board:
        with pytest.raises(WrongDiskError) as caught:
            board.storage.flash(image)
        board.storage.off()

    assert "still there" in caught.value.what
    assert bytes_of(other_node, MIB)[:4096] == b"precious" * 512
    assert bench.management.state(serial)["mux"] == "off"


def test_a_disk_that_was_there_while_the_storage_was_off_is_refused(other_node: Path) -> None:
    before = frozenset(disk.key for disk in list_disks(SYS))

    assert "it was on the host while the storage was off" in refusal(other_node, before)


# what fails


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"name": "stick_flip", "every": 2 * MIB + 17}, FlashError),
        ({"name": "stick_error", "after_bytes": 2 * MIB}, FlashError),
        ({"name": "stick_remove", "after_bytes": 3 * MIB}, StickLostError),
    ],
)
def test_a_stick_that_errs_is_found_and_does_not_boot(
    board: Board, bench: Bench, image: Path, fault: dict[str, Any], kind: type[StorageError]
) -> None:
    bench.management.fault(board.serial, **fault)
    with pytest.raises(StorageError) as caught:
        board.storage.flash(image)
    bench.management.clear(board.serial)
    truth = bench.management.state(board.serial)

    assert isinstance(caught.value, kind)
    assert truth["mux"] == "off"
    assert set(bytes_of(shown(board), MIB)) == {0}


def test_a_call_after_one_that_failed_completes_it(board: Board, bench: Bench, image: Path) -> None:
    bench.management.fault(board.serial, "stick_error", after_bytes=IMAGE_BYTES)
    with pytest.raises(FlashError):
        board.storage.flash(image)
    bench.management.clear(board.serial)

    assert board.storage.flash(image).was_written


def test_an_image_larger_than_the_stick_is_refused_before_anything_is_written(
    board: Board, tmp_path: Path
) -> None:
    before = bytes_of(shown(board), MIB)
    large = tmp_path / "large.img"
    large.write_bytes(secrets.token_bytes(MIB))
    os.truncate(large, 1 << 30)

    with pytest.raises(ImageError, match="larger than the stick"):
        board.storage.flash(large)

    assert bytes_of(shown(board), MIB) == before
