from __future__ import annotations

import os
import shutil
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from hil.dutlink.storage import stick_path
from hil.dutlink.storage.host_lock import HostLock
from hil.dutlink.storage.stick_path import StickPath, by_id_name, size_bytes, usb_disks
from hil.dutlink.storage.usb_sockets import disks_by_socket
from hil.errors import StorageError
from hil.sim.host.sysfs import SysFolder, UsbNames

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.storage.usb_sockets import UsbDisk


def test_usb_disks_is_empty_without_the_folder(tmp_path: Path) -> None:
    assert usb_disks(tmp_path) == frozenset()


def test_usb_disks_leaves_out_partitions_other_disks_and_dangling_links(dev: Path) -> None:
    by_id = dev / "disk" / "by-id"
    for name in ("usb-Stick-0:0", "usb-Stick-0:0-part1", "ata-Disk"):
        (by_id / name).touch()
    (by_id / "usb-Gone-0:0").symlink_to(dev / "sdz")

    assert usb_disks(dev) == {by_id / "usb-Stick-0:0"}


def test_size_bytes_of_a_missing_disk_is_zero(tmp_path: Path) -> None:
    assert size_bytes(tmp_path / "none") == 0


def test_size_bytes_of_a_block_device_needs_no_permission(tmp_path: Path) -> None:
    disk = tmp_path / "dev/block/8:16"
    disk.mkdir(parents=True)
    (disk / "dev").write_text("8:16\n")
    (disk / "size").write_text("4096\n")
    node = SimpleNamespace(stat=lambda: SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(8, 16)))

    assert size_bytes(node, tmp_path) == 4096 * 512  # type: ignore[arg-type]


def test_host_lock_without_its_folder_raises_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        HostLock(tmp_path / "none", 1.0, "looks for its stick").acquire()


def test_by_id_name_is_the_one_that_leads_to_the_disk(dev: Path) -> None:
    by_id = dev / "disk" / "by-id"
    for name in ("sda", "sdb"):
        (dev / name).touch()
        (by_id / f"usb-Stick_{name}-0:0").symlink_to(dev / name)

    assert (by_id_name(dev, "sdb"), by_id_name(dev, "sdc")) == (by_id / "usb-Stick_sdb-0:0", None)


def listed(folder: SysFolder, file: Path, name: str, busid: str, serial: str = "AB12") -> None:
    file.write_bytes(bytes(4096))
    folder.disk(ord(name[-1]), name, busid, UsbNames("1209", "0001", "HIL", "Stick", serial)).show(file)


def test_disks_by_socket_distinguishes_disks_with_equal_names(tmp_path: Path) -> None:
    folder = SysFolder(tmp_path / "sys")
    listed(folder, tmp_path / "a", "sda", "2-1")
    listed(folder, tmp_path / "b", "sdb", "2-1.4")

    found = disks_by_socket(folder.root)

    assert {socket: disk.media[0].name for socket, disk in found.items()} == {"2-1": "sda", "2-1.4": "sdb"}
    assert found["2-1"].names == found["2-1.4"].names == ("1209", "0001", "AB12", 4096)
    assert found["2-1"].plug_number != found["2-1.4"].plug_number


def test_disks_by_socket_combines_the_slots_of_a_card_reader(tmp_path: Path) -> None:
    folder = SysFolder(tmp_path / "sys")
    listed(folder, tmp_path / "a", "sda", "2-1")
    slot = (folder.root / "block/sda").resolve().parents[2] / "6:0:0:1/block/sdb"
    shutil.copytree((folder.root / "block/sda").resolve(), slot, symlinks=True)
    (folder.root / "block/sdb").symlink_to(slot)
    two_cards = disks_by_socket(folder.root)["2-1"]
    (slot / "size").write_text("0")

    one_card = disks_by_socket(folder.root)["2-1"]

    assert ([card.name for card in two_cards.media], [card.name for card in one_card.media]) == (
        ["sda", "sdb"],
        ["sda"],
    )


def test_disks_by_socket_keeps_the_plug_number_if_a_card_is_inserted(tmp_path: Path) -> None:
    folder = SysFolder(tmp_path / "sys")
    listed(folder, tmp_path / "a", "sda", "2-1")
    disk = (folder.root / "block/sda").resolve()
    (disk / "size").write_text("0")
    empty = disks_by_socket(folder.root)["2-1"]
    (disk / "size").write_text("8")
    (disk / "diskseq").write_text("77")

    full = disks_by_socket(folder.root)["2-1"]

    assert (empty.is_ready, full.is_ready, empty.plug_number == full.plug_number) == (False, True, True)


def test_by_place_waits_until_udev_has_made_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").mkdir()
    named = tmp_path / "disk/by-path/usb-0:3:1.0"
    looks = iter([None, None, named])
    monkeypatch.setattr(stick_path, "by_path_name", lambda _dev, _node: next(looks))
    disk = cast("UsbDisk", SimpleNamespace(media=[SimpleNamespace(name="sda")]))

    assert StickPath("0df10035", tmp_path, tmp_path, None).by_place(disk) == named
