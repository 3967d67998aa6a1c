"""Simulated boards that Linux has attached: their truth, and waiting for the kernel and udev."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hil.dutlink.discovery import probe
from hil.dutlink.host import Host
from hil.dutlink.timing import until
from hil.errors import Verdict
from hil.sim.management.client import ManagementClient

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ATTACH_LIMIT_S", "Bench", "tty_node", "usb_folder"]

ATTACH_LIMIT_S = 40.0
"""Seconds for plugger, kernel and udev together; a busy machine without KVM takes ten."""

_USB = Path("/sys/bus/usb/devices")


@dataclass(frozen=True, slots=True)
class Bench:
    """The session's boards.

    Attributes:
        serials: Of the boards.
        management: A client of the simulator's management port.
        own_machine: Whether this is the session's virtual machine, where a test may change anything.
        project: The folder of the project.
        jumpstarter: Where Jumpstarter's packages are; None where this session has none.
    """

    serials: tuple[str, ...]
    management: ManagementClient
    own_machine: bool
    project: Path
    jumpstarter: Path | None

    @classmethod
    def of_job(cls, path: str) -> Self:
        """Make it from the session's `job.json`."""
        job: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
        serials = tuple(board["serial"] for board in job["ready"]["boards"])
        control = ManagementClient(job["ready"]["control_port"], job["address"], job["ready"]["token"])
        jumpstarter = Path(job["jumpstarter"]) if job["jumpstarter"] else None
        return cls(serials, control, job["own_machine"], Path(job["project"]), jumpstarter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.management.close()

    def in_order(self, serial: str) -> Iterator[str]:
        """Have a board without faults and plugged in, before and after."""
        self.restore(serial)
        yield serial
        self.restore(serial)

    def restore(self, serial: str) -> None:
        """End a board's faults and wait until this host can use it.

        Raises:
            TimeoutError: It cannot.
        """
        self.management.clear(serial)
        self.wait_until_attached(serial)

    def replug(self, serial: str) -> None:
        """Pull the board and plug it in again, and wait until this host has the new one."""
        self.management.fault(serial, "unplug")
        self.wait_until_gone(serial)
        self.management.fault(serial, "replug")
        self.wait_until_attached(serial)

    def wait_until_attached(self, serial: str) -> None:
        """Wait for the tty that udev names, and for an answer; raises TimeoutError."""

        def usable() -> bool:
            return tty_node(serial).exists() and probe(Host(), serial, 2.0).verdict is Verdict.PRESENT

        if not until(usable, ATTACH_LIMIT_S):
            message = f"board {serial} is not usable {ATTACH_LIMIT_S:.0f} s after it was plugged in"
            raise TimeoutError(message)

    def wait_until_boot_loader(self, serial: str) -> None:
        """Wait until the kernel has the board as its boot loader, with one interface; raises TimeoutError."""

        def there() -> bool:
            folder = usb_folder(serial)
            return folder is not None and (folder / "bNumInterfaces").read_text("ascii").strip() == "1"

        if not until(there, ATTACH_LIMIT_S):
            message = f"board {serial} is not in its boot loader {ATTACH_LIMIT_S:.0f} s after it was sent"
            raise TimeoutError(message)

    def wait_until_gone(self, serial: str) -> None:
        """Wait until kernel and udev have forgotten the board; raises TimeoutError."""

        def gone() -> bool:
            return usb_folder(serial) is None and not tty_node(serial).exists()

        if not until(gone, ATTACH_LIMIT_S):
            message = f"board {serial} is still there {ATTACH_LIMIT_S:.0f} s after it was unplugged"
            raise TimeoutError(message)


def tty_node(serial: str) -> Path:
    """The name that udev gives the board's tty."""
    return Path(f"/dev/serial/by-id/usb-Red_Hat_Inc._Dutlink_{serial}-if00")


def usb_folder(serial: str) -> Path | None:
    """The board's folder in sysfs; None while the kernel has no such board."""
    for path in _USB.glob("*/serial"):
        try:
            if path.read_text("ascii").strip() == serial:
                return path.parent
        except OSError:  # it went away between two lines
            continue
    return None
