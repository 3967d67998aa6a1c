"""A machine that is a folder: sysfs, udev's files, processes and groups as Linux has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hil.lab.doctor.host_info import HostInfo
from hil.lab.udev.rule import rule_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FakeMachine"]

APPLIED = """\
ID_MM_DEVICE_IGNORE=1
CURRENT_TAGS=:uaccess:seat:systemd:
"""
"""What `udevadm test` of Debian's udev 252 says of a board whose rule is applied, among much else."""

BOARD = {"idVendor": "2b23", "idProduct": "1012", "bmAttributes": "80", "bMaxPower": "250mA"}


class FakeMachine:
    """A healthy machine with one board in a port of its own; methods break it.

    Args:
        root: An empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.facts = HostInfo(
            root=root, user="ann", uid=1000, gids=frozenset({1000, 46}), udev_test=lambda _device: APPLIED
        )
        self.device("usb1", idVendor="1d6b", idProduct="0002", bmAttributes="e0", bMaxPower="0mA")
        self.device("1-1", **BOARD, serial="0df10035")
        self.tty("1-1", "ttyACM0", "166:0")
        self.write("etc/udev/rules.d/60-dutlink.rules", rule_text())
        self.write("etc/group", "root:x:0:\nplugdev:x:46:ann,bob\n")
        self.write("proc/1/comm", "systemd\n")

    def write(self, path: str, text: str) -> None:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def device(self, name: str, **facts: str) -> None:
        """Plug a USB device in, as sysfs shows it."""
        number = str(1 + len(list(self.root.glob("sys/bus/usb/devices/*"))))
        for fact, text in {"bConfigurationValue": "1", "busnum": "1", "devnum": number, **facts}.items():
            self.write(f"sys/bus/usb/devices/{name}/{fact}", f"{text}\n")

    def tty(self, device: str, name: str, number: str, record: str = "E:ID_MM_DEVICE_IGNORE=1\n") -> None:
        """Give a device a tty, and udev a record of it."""
        self.write(f"sys/bus/usb/devices/{device}/{device}:1.0/tty/{name}/dev", number)
        self.write(f"sys/class/tty/{name}/dev", number)
        self.write(f"run/udev/data/c{number}", record)

    def process(self, pid: int, name: str, *nodes: str) -> None:
        """Start a process that has device nodes open."""
        self.write(f"proc/{pid}/comm", f"{name}\n")
        folder = self.root / f"proc/{pid}/fd"
        folder.mkdir()
        for number, node in enumerate(nodes):
            (folder / str(number)).symlink_to(node)

    def become(self, **facts: object) -> None:
        """Change what is known without files."""
        self.facts = replace(self.facts, **facts)  # type: ignore[arg-type]
