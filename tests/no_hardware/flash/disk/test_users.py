from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hil.dutlink.timing import until
from hil.flash.disk import kernel_users, users
from hil.flash.disk.sysfs import BlockDevice
from hil.flash.disk.users import iter_users
from tests.support.programs import program, running, state_of


@pytest.mark.skipif(os.geteuid() != 0, reason="udev is root's")
@pytest.mark.parametrize(("comm", "seen"), [("python3", 1), ("(udev-worker)", 0), ("systemd-udevd", 0)])
def test_opened_by_names_programs_but_not_udev(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comm: str, seen: int
) -> None:
    node, process = tmp_path / "dev/sda", tmp_path / "proc/812"
    node.parent.mkdir()
    node.touch()
    (process / "fd").mkdir(parents=True)
    (process / "fd/3").symlink_to(node)
    (process / "comm").write_text(f"{comm}\n")
    (process / "cmdline").write_bytes(b"/usr/bin/editor\0disk\0")
    monkeypatch.setattr(users, "_PROC", tmp_path / "proc")
    status = node.stat()
    disk: Any = SimpleNamespace(identity=f"file-{status.st_dev}-{status.st_ino}", name="sda", partitions=list)

    found = list(users.opened_by(disk, node.parent))

    assert found == ["sda is open in process 812 (editor disk)"][:seen]


HOLD = program(__file__, "users_hold")


@pytest.mark.parametrize("how", ["shared", "unshared", "mapped", "outlives"])
def test_opened_by_finds_a_program_however_it_holds_a_disk(tmp_path: Path, how: str) -> None:
    node = tmp_path / "dev/sda"
    node.parent.mkdir()
    node.write_bytes(bytes(4096))
    status = node.stat()
    disk: Any = SimpleNamespace(identity=f"file-{status.st_dev}-{status.st_ino}", name="sda", partitions=list)

    with running([sys.executable, "-c", HOLD, how, node], stdout=subprocess.PIPE) as program:
        assert program.stdout.readline() == b"held\n"
        if how == "outlives":
            assert until(lambda: state_of(program.pid) == "Z", 60)
        found = list(users.opened_by(disk, node.parent))

    use = "mapped" if how == "mapped" else "open"
    command = f"{Path(sys.executable).name} -c import"
    assert found == [f"sda is {use} in process {program.pid} ({command})"]


@pytest.mark.parametrize(
    ("mounted", "is_own"),
    [("/dev/root / rw", True), ("/dev/sda2 /media/user rw", False), ("overlay / rw", False)],
)
def test_is_of_this_system_is_the_disk_with_the_root_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: str, is_own: bool
) -> None:
    source, point, options = mounted.split()
    number = "0:31" if source == "overlay" else "8:2"
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(f"36 35 {number} / {point} {options} - ext4 {source} rw\n")
    monkeypatch.setattr(kernel_users, "_PROC", tmp_path / "proc")
    disk = listed(tmp_path / "sys/block/sda", "8:0")
    listed(disk.folder / "sda2", "8:2")
    (disk.folder / "sda2/partition").write_text("2")

    assert users.is_of_this_system(disk) is is_own


def listed(folder: Path, number: str) -> BlockDevice:
    """A block device as the kernel lists it."""
    folder.mkdir(parents=True)
    (folder / "dev").write_text(f"{number}\n")
    return BlockDevice(folder)


def built_on(part: BlockDevice, name: str, number: str, mapped: str = "", uuid: str = "") -> BlockDevice:
    """Build something on a disk or partition."""
    device = listed(part.folder.parents[1] / "virtual" / name, number)
    if mapped:
        (device.folder / "dm").mkdir()
        (device.folder / "dm/name").write_text(f"{mapped}\n")
        (device.folder / "dm/uuid").write_text(f"{uuid}\n")
    (part.folder / "holders").mkdir(exist_ok=True)
    (part.folder / "holders" / name).symlink_to(device.folder)
    return device


def test_is_of_this_system_is_the_disk_below_an_encrypted_volume_with_the_root_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = listed(tmp_path / "sys/block/sda", "8:0")
    crypt = built_on(disk, "dm-0", "253:0", "disk_crypt", "CRYPT-LUKS2-1")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("36 35 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n")
    monkeypatch.setattr(kernel_users, "_PROC", tmp_path / "proc")
    assert not users.is_of_this_system(disk)

    built_on(crypt, "dm-1", "253:1", "vg-root", "LVM-2")

    assert users.is_of_this_system(disk)


@pytest.mark.parametrize(
    ("device", "why", "remedy"),
    [
        (
            ("dm-0", "253:0", "vg-data", "LVM-2"),
            "dm-0 (vg-data) is built on sda",
            "lvchange -an /dev/mapper/vg-data;",
        ),
        (("dm-0", "253:0", "c", "CRYPT-LUKS2-1"), "dm-0 (c) is built on sda", "cryptsetup close c"),
        (("dm-0", "253:0", "c", "mpath-1"), "dm-0 (c) is built on sda", "dmsetup remove c"),
        (("md127", "9:127"), "md127 is built on sda", "mdadm --stop /dev/md127"),
        (("bcache0", "252:0"), "bcache0 is built on sda", "echo 1 > /sys/block/bcache0/bcache/stop"),
        (("drbd0", "147:0"), "drbd0 is built on sda", "stop drbd0 with the tool that made it"),
    ],
)
def test_user_of_names_volumes_and_how_to_stop_them(
    tmp_path: Path, device: tuple[str, ...], why: str, remedy: str
) -> None:
    disk = listed(tmp_path / "sys/block/sda", "8:0")
    built_on(disk, *device)

    found = next(iter_users(disk, tmp_path / "sys"))

    assert found.why == users.user_of(disk, tmp_path / "sys", tmp_path) == why
    assert found.remedy.startswith(remedy)


@pytest.mark.parametrize("depth", [1, 2])
def test_user_of_says_where_a_volume_on_a_disk_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("36 35 253:9 / /srv rw - ext4 /dev/mapper/vg-data rw\n")
    monkeypatch.setattr(kernel_users, "_PROC", tmp_path / "proc")
    disk = listed(tmp_path / "sys/block/sda", "8:0")
    below = built_on(disk, "dm-0", "253:0", "crypt", "CRYPT-LUKS2-1") if depth == 2 else disk
    built_on(below, "dm-9", "253:9", "vg-data", "LVM-2")

    found = next(iter_users(disk, tmp_path / "sys"))

    first = "dm-0 (crypt)" if depth == 2 else "dm-9 (vg-data)"
    assert found.why == f"{first} is built on sda, and mounted at /srv"
    assert found.remedy.startswith("umount /srv, then ")
