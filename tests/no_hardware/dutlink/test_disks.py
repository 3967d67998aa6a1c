from __future__ import annotations

import os
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.disks import Watch, size_bytes, usb_disks
from hil.errors import StickAmbiguousError, StorageError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_the_folder_there_are_no_disks(tmp_path: Path) -> None:
    assert usb_disks(tmp_path) == frozenset()


def test_partitions_other_disks_and_dangling_links_do_not_count(dev: Path) -> None:
    by_id = dev / "disk" / "by-id"
    for name in ("usb-Stick-0:0", "usb-Stick-0:0-part1", "ata-Disk"):
        (by_id / name).touch()
    (by_id / "usb-Gone-0:0").symlink_to(dev / "sdz")

    assert usb_disks(dev) == {by_id / "usb-Stick-0:0"}


def test_a_disk_that_is_gone_has_no_size(tmp_path: Path) -> None:
    assert size_bytes(tmp_path / "none") == 0


def test_the_size_of_a_block_device_needs_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"/sys/dev/block/8:16/size": "4096\n"}
    node = SimpleNamespace(stat=lambda: SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(8, 16)))
    monkeypatch.setattr("pathlib.Path.exists", lambda path: str(path) in sizes)
    monkeypatch.setattr("pathlib.Path.read_text", lambda path, **_: sizes[str(path)])

    assert size_bytes(node) == 4096 * 512  # type: ignore[arg-type]


def test_a_host_without_a_device_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Watch(tmp_path / "none")


def test_a_disk_that_went_and_came_back_counts_as_new(dev: Path) -> None:
    node = dev / "disk" / "by-id" / "usb-Stick-0:0"
    node.touch()
    watch = Watch(dev)
    node.unlink()
    watch.came()
    node.touch()

    came = watch.came()

    watch.end()
    assert came == {node}


def test_a_card_reader_s_empty_slots_do_not_make_the_stick_ambiguous(dev: Path) -> None:
    by_id = dev / "disk" / "by-id"
    watch = Watch(dev)
    for slot in ("0:0", "0:1", "0:2"):
        (by_id / f"usb-Reader_4711-{slot}").touch()
    spinning_up = watch.only()
    (by_id / "usb-Reader_4711-0:1").write_bytes(b"card")

    found = watch.only()

    watch.end()
    assert spinning_up is not None
    assert size_bytes(spinning_up) == 0
    assert found == by_id / "usb-Reader_4711-0:1"


def test_two_cards_in_one_reader_are_ambiguous(dev: Path) -> None:
    watch = Watch(dev)
    for slot in ("0:0", "0:1"):
        (dev / "disk" / "by-id" / f"usb-Reader_4711-{slot}").write_bytes(b"card")

    with pytest.raises(StickAmbiguousError, match="2 disks"):
        watch.only()

    watch.end()
