"""A stick for tests without a board: a plain file, and the simulated host's `/sys` that lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.flash.disk.open_verified import ExpectedDisk, open_verified
from hil.flash.disk.sysfs import list_disks
from hil.sim.host.sysfs import SysFolder, UsbNames

if TYPE_CHECKING:
    from pathlib import Path

    from hil.flash.disk.disk import Disk
    from hil.sim.host.sysfs import SysDisk

MIB = 1 << 20
NAMES = UsbNames("1209", "0001", "HIL", "Simulated Stick", "AB12")


class StickBench:
    """A host with one stick, `dev/sda`, which is detached at first."""

    def __init__(self, root: Path, size_bytes: int = 16 * MIB) -> None:
        self.dev = root / "dev"
        self.dev.mkdir()
        self.sys = root / "sys"
        self.folder = SysFolder(self.sys)
        self.file = root / "stick.img"
        self.fill(size_bytes)
        self.node = self.dev / "sda"
        self.listing = self.folder.disk(0, "sda", "2-1", NAMES)
        self.claims = 0
        self.before_open: Any = lambda: None

    def fill(self, size_bytes: int, byte: bytes = b"\xee") -> None:
        self.file.write_bytes(byte * size_bytes)

    def appear(self) -> None:
        self.node.hardlink_to(self.file)
        self.listing.show(self.file)

    def go(self) -> None:
        self.listing.hide()
        self.node.unlink(missing_ok=True)

    def claim(self) -> Disk:
        """Detach the stick, attach it again, and open it."""
        self.claims += 1
        self.go()
        before = self.keys()
        self.appear()
        self.before_open()
        return open_verified(ExpectedDisk(self.node, self.sys, before), to_write=True)

    def keys(self) -> frozenset[str]:
        return frozenset(disk.key for disk in list_disks(self.sys))

    def another(self, name: str, content: bytes, serial: str = "CD34") -> tuple[Path, SysDisk]:
        """Create a second USB disk; it is attached once its listing is shown."""
        node = self.dev / name
        node.write_bytes(content)
        index = len(list(self.dev.iterdir()))
        names = UsbNames("1209", "0001", "HIL", "Another Stick", serial)
        return node, self.folder.disk(index, name, f"2-{index}", names)

    def content(self) -> bytes:
        return self.file.read_bytes()
