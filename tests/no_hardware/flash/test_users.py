from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hil.flash import in_use, users

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(os.geteuid() != 0, reason="udev is root's")
@pytest.mark.parametrize(("comm", "seen"), [("python3", 1), ("(udev-worker)", 0), ("systemd-udevd", 0)])
def test_opened_by_names_programs_but_not_udev_s_look_at_a_disk(
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
    monkeypatch.setattr(in_use, "_PROC", tmp_path / "proc")
    part = SimpleNamespace(identity="8:2", name="sda2")
    disk: Any = SimpleNamespace(identity="8:0", name="sda", partitions=lambda: [part])

    assert users.is_of_this_system(disk) is is_own
