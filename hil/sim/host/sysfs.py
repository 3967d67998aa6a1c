"""The `/sys`-like folder of the simulated host, with the files that Linux has for boards and USB disks.

A stick's node is a plain file, which has no device number. In its place, in `dev` and as the name in
`dev/block`, stands `file-DEVICE-INODE` of that file. No kernel uses such a name, so a program that looks up a
plain file in a real `/sys` finds no entry.
"""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hil.sim.stick.partitions import PARTITION_TABLE_BYTES, find_partitions

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.stick.partitions import Partition

__all__ = ["NotListed", "SysBoard", "SysDisk", "SysFolder", "SysListing", "UsbNames"]

_SECTOR_BYTES = 512


class SysListing(Protocol):
    """The entry of a disk in `/sys`."""

    def show(self, file: Path) -> None:
        """Create the entry; `file` holds the disk's bytes."""
        ...

    def hide(self) -> None:
        """Remove the entry; do nothing if it does not exist."""
        ...


class NotListed:
    """A `SysListing` for a device without an entry."""

    def show(self, file: Path) -> None:
        """Do nothing."""

    def hide(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class UsbNames:
    """USB ids and names of a stick.

    Attributes:
        vendor_id: USB vendor, four hexadecimal digits.
        product_id: USB product, four hexadecimal digits.
        vendor: Name of its maker.
        product: Name of the product.
        serial: Its serial number.
    """

    vendor_id: str
    product_id: str
    vendor: str
    product: str
    serial: str


class SysFolder:
    """The `/sys`-like folder, without devices at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sequence = itertools.count(1)
        self._devices = itertools.count(2)
        for folder in ("block", "class/block", "dev/block", "bus/usb/devices", "bus/scsi/devices"):
            (root / folder).mkdir(parents=True)

    def disk(self, index: int, name: str, busid: str, names: UsbNames) -> SysDisk:
        """Return the entry of a stick's disk.

        Args:
            index: Index of its board, from 0, which is the SCSI host's number.
            name: Name of its node, such as `sda`.
            busid: Its port, such as `2-1`.
            names: Its USB names.
        """
        return SysDisk(self, name, (index, busid), names)

    def next_device(self) -> int:
        """Return the number of the next USB device that is plugged in; as on Linux, no number comes twice."""
        return next(self._devices)

    def board(self, busid: str, serial: str) -> SysBoard:
        """Return the entry of a board at `busid`."""
        return SysBoard(self.root, busid, serial)

    def next_sequence(self) -> int:
        """Return the sequence number of the next disk, as Linux counts them since 5.15."""
        return next(self._sequence)


class SysBoard:
    """The entry of a board: its USB device with the facts that identify it."""

    def __init__(self, root: Path, busid: str, serial: str) -> None:
        self._device = root / "devices/platform/vhci_hcd.0" / f"usb{busid.partition('-')[0]}" / busid
        self._link = root / "bus/usb/devices" / busid
        self.serial = serial

    def show(self, facts: dict[str, str]) -> None:
        """Create the entry with serial number and facts; do nothing if it exists."""
        if not self._device.is_dir():
            _write(self._device, {"serial": self.serial, **facts})
            _link(self._link, self._device)

    def hide(self) -> None:
        """Remove the entry; do nothing if it does not exist."""
        self._link.unlink(missing_ok=True)
        shutil.rmtree(self._device, ignore_errors=True)


class SysDisk:
    """The `SysListing` of a disk, below its USB device as on Linux."""

    def __init__(self, folder: SysFolder, name: str, place: tuple[int, str], names: UsbNames) -> None:
        index, busid = place
        root = folder.root
        bus, scsi = busid.partition("-")[0], f"{index}:0:0:0"
        self._folder = folder
        self._names = names
        self._device = root / "devices/platform/vhci_hcd.0" / f"usb{bus}" / busid
        self._interface = self._device / f"{busid}:1.0"
        self._scsi = self._interface / f"host{index}" / f"target{index}:0:0" / scsi
        self._disk = self._scsi / "block" / name
        self._links = {
            root / "block" / name: self._disk,
            root / "class/block" / name: self._disk,
            root / "bus/scsi/devices" / scsi: self._scsi,
        }
        self._plugged = root / "bus/usb/devices" / busid
        self._is_plugged = False
        self._empty_slots = 0
        self._identity = ""
        self._shown: list[Path] = []

    def change_model(self, names: UsbNames, empty_slots: int) -> None:
        """Become another model of stick when it appears next, with slots without a card beside it."""
        self._names = names
        self._empty_slots = empty_slots

    def plug(self) -> None:
        """Create the entry of its USB device; do nothing if it exists. The disk follows much later."""
        if not self._is_plugged:
            self._is_plugged = True
            self._write_device()
            _link(self._plugged, self._device)

    def show(self, file: Path) -> None:
        """Create the entry of the disk; `file` holds its bytes."""
        status = file.stat()
        identity = f"file-{status.st_dev}-{status.st_ino}"
        if self._identity == identity:
            return  # the entry exists
        if self._identity:
            self.hide()
        self._identity = identity
        self.plug()
        self._write_disk(identity, status.st_size)
        with file.open("rb") as stick:
            found = find_partitions(stick.read(PARTITION_TABLE_BYTES), status.st_size)
        numbers = {identity: self._disk} | {self._write_partition(one): self._part(one) for one in found}
        names = {self._folder.root / "class/block" / self._part(one).name: self._part(one) for one in found}
        numbered = {self._folder.root / "dev/block" / number: path for number, path in numbers.items()}
        empty = dict(self._write_empty_slot(slot) for slot in range(1, 1 + self._empty_slots))
        for link, target in (self._links | names | numbered | empty).items():
            self._shown.append(link)
            _link(link, target)

    def hide(self) -> None:
        """Remove the entry, its links first; do nothing if it does not exist."""
        while self._shown:
            self._shown.pop().unlink(missing_ok=True)
        self._identity = ""
        if self._is_plugged:  # otherwise another disk may be at this port
            self._is_plugged = False
            self._plugged.unlink(missing_ok=True)
            shutil.rmtree(self._device, ignore_errors=True)

    def _write_device(self) -> None:
        names = self._names
        facts = {
            "idVendor": names.vendor_id,
            "idProduct": names.product_id,
            "manufacturer": names.vendor,
            "product": names.product,
            "serial": names.serial,
            "speed": "480",
            "devnum": str(self._folder.next_device()),
        }
        _write(self._device, facts)
        _write(
            self._interface, {"bInterfaceClass": "08", "bInterfaceSubClass": "06", "bInterfaceProtocol": "50"}
        )
        _write(self._scsi, {"vendor": names.vendor, "model": names.product, "type": "0"})
        for folder, subsystem in ((self._device, "usb"), (self._interface, "usb"), (self._scsi, "scsi")):
            _link(folder / "subsystem", self._folder.root / "bus" / subsystem)

    def _write_disk(self, identity: str, size_bytes: int) -> None:
        facts = {
            "dev": identity,
            "size": str(size_bytes // _SECTOR_BYTES),
            "removable": "1",
            "ro": "0",
            "diskseq": str(self._folder.next_sequence()),
        }
        _write(self._disk, facts)
        _write(self._disk / "queue", {"logical_block_size": str(_SECTOR_BYTES), "max_sectors_kb": "120"})
        for folder in ("holders", "slaves"):
            (self._disk / folder).mkdir()
        _link(self._disk / "device", self._scsi)
        _link(self._disk / "subsystem", self._folder.root / "class/block")

    def _write_empty_slot(self, slot: int) -> tuple[Path, Path]:
        """Create the entry of a slot without a card; return its link and its folder."""
        name = f"{self._disk.name}slot{slot}"  # no letter is free, and no program goes by the kernel's name
        disk = self._scsi.with_name(f"{self._scsi.name[:-1]}{slot}") / "block" / name
        facts = {"dev": f"{self._identity}-slot{slot}", "size": "0", "removable": "1", "ro": "0"}
        _write(disk, {**facts, "diskseq": str(self._folder.next_sequence())})
        for folder in ("holders", "slaves"):
            (disk / folder).mkdir()
        _link(disk / "device", disk.parents[1])
        _link(disk / "subsystem", self._folder.root / "class/block")
        return self._folder.root / "block" / name, disk

    def _part(self, one: Partition) -> Path:
        return self._disk / f"{self._disk.name}{one.number}"

    def _write_partition(self, one: Partition) -> str:
        """Create the entry of a partition; return the text in place of its device number."""
        identity = f"{self._identity}-{one.number}"
        facts = {"dev": identity, "start": one.start, "size": one.sectors, "partition": one.number, "ro": 0}
        _write(self._part(one), {name: str(value) for name, value in facts.items()})
        (self._part(one) / "holders").mkdir()
        _link(self._part(one) / "subsystem", self._folder.root / "class/block")
        return identity


def _write(folder: Path, facts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in facts.items():
        (folder / name).write_text(f"{value}\n", encoding="ascii")


def _link(link: Path, target: Path) -> None:
    link.symlink_to(os.path.relpath(target, link.parent))
