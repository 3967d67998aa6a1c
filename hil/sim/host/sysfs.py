"""The `/sys`-like folder of the simulated host: what Linux tells about a USB disk while it is there.

A stick's node is a plain file, which has no device number. What stands in its place, in `dev` and as the name
in `dev/block`, is `file-DEVICE-INODE` of that file: a name that no kernel gives to anything, so that whoever
looks a plain file up in a real `/sys` finds nothing.
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
    """How a disk is told about."""

    def show(self, file: Path) -> None:
        """It is there, and these are its bytes."""
        ...

    def hide(self) -> None:
        """It is gone; harmless when it is not there."""
        ...


class NotListed:
    """A `SysListing` of a disk that is told about nowhere."""

    def show(self, file: Path) -> None:
        """Nothing."""

    def hide(self) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class UsbNames:
    """What a stick calls itself.

    Attributes:
        vendor_id: USB vendor, four hexadecimal digits.
        product_id: USB product, likewise.
        vendor: Its maker.
        product: Its name.
        serial: Its serial number.
    """

    vendor_id: str
    product_id: str
    vendor: str
    product: str
    serial: str


class SysFolder:
    """The folder; disks come and go in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sequence = itertools.count(1)
        self._devices = itertools.count(2)
        for folder in ("block", "class/block", "dev/block", "bus/usb/devices", "bus/scsi/devices"):
            (root / folder).mkdir(parents=True)

    def disk(self, index: int, name: str, busid: str, names: UsbNames) -> SysDisk:
        """Return the place of one stick's disk.

        Args:
            index: Of its board, from 0: the SCSI host's number.
            name: Its node's name, such as `sda`.
            busid: Where it is plugged in, such as `2-1`.
            names: What it calls itself.
        """
        return SysDisk(self, name, (index, busid), names)

    def next_device(self) -> int:
        """Return a number for a USB device that was plugged in; each one gets another, as on Linux."""
        return next(self._devices)

    def board(self, busid: str, serial: str) -> SysBoard:
        """Return the place of a board that is plugged in at `busid`."""
        return SysBoard(self.root, busid, serial)

    def next_sequence(self) -> int:
        """Count disks as Linux does since 5.15: no number comes twice."""
        return next(self._sequence)


class SysBoard:
    """The folder of one board, with the files that tell which board is plugged in where."""

    def __init__(self, root: Path, busid: str, serial: str) -> None:
        self._device = root / "devices/platform/vhci_hcd.0" / f"usb{busid.partition('-')[0]}" / busid
        self._link = root / "bus/usb/devices" / busid
        self.serial = serial

    def show(self, facts: dict[str, str]) -> None:
        """Publish the folder with its serial number and these facts; harmless when it is there."""
        if not self._device.is_dir():
            _write(self._device, {"serial": self.serial, **facts})
            _link(self._link, self._device)

    def hide(self) -> None:
        """Let it vanish; harmless when it is not there."""
        self._link.unlink(missing_ok=True)
        shutil.rmtree(self._device, ignore_errors=True)


class SysDisk:
    """One disk in the folder, a `SysListing`: below its USB device, as Linux lays it out."""

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
        """Be another model of stick from its next coming on, with so many slots without a card beside it."""
        self._names = names
        self._empty_slots = empty_slots

    def plug(self) -> None:
        """Publish its USB device, which a kernel does long before the disk; harmless when it is there."""
        if not self._is_plugged:
            self._is_plugged = True
            self._write_device()
            _link(self._plugged, self._device)

    def show(self, file: Path) -> None:
        """Publish it; `file` has its bytes."""
        status = file.stat()
        identity = f"file-{status.st_dev}-{status.st_ino}"
        if self._identity == identity:
            return  # it was not away
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
        """Let it vanish, its names first; harmless when it is not there."""
        while self._shown:
            self._shown.pop().unlink(missing_ok=True)
        self._identity = ""
        if self._is_plugged:  # or another disk may be at this socket
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
        """Publish the disk of a slot without a card, and return its link and its folder."""
        name = (
            f"{self._disk.name}slot{slot}"  # no letter is left over here; nobody goes by the kernel's names
        )
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
        """Publish it, and return what stands for its number."""
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
