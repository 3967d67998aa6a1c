"""The two hosts on which the table of faults is tried: the simulated one, and Linux with attached boards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import usb.core
import usb.util

from hil.boards.sources import simulated_host
from hil.dutlink.discovery import probe
from hil.dutlink.host import Host
from hil.dutlink.timing import until
from hil.errors import Verdict
from hil.sim.management.client import ManagementClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from hil.sim.process import SimulatorProcess

__all__ = ["JOB", "KernelWorld", "SimulatedWorld", "World"]

JOB = os.environ.get("HIL_KERNEL_JOB")
"""Names the kernel session's job; None in every other session."""

REFRESH = (0x41, 0, 0, 3)
NOBODY = 65534
LIMIT_S = 40.0
LOOK_S = 1.5
FINDS = """
import usb.core
try:
    usb.core.find()
except usb.core.NoBackendError as error:
    print(type(error).__name__)
"""
LOOKS = """
from hil.dutlink.discovery import probe
from hil.dutlink.host import Host
print(probe(Host()).verdict.value)
"""


class World(ABC):
    """A host with two boards, and what both worlds have in common.

    Args:
        host: Where the driver looks.
        management: The boards' truth and faults.
        serials: Of the boards.
    """

    def __init__(self, host: Host, management: ManagementClient, serials: tuple[str, ...]) -> None:
        self.host = host
        self.management = management
        self.serials = serials
        self._opened: list[Any] = []

    @abstractmethod
    def denied(self, serial: str) -> AbstractContextManager[None]:
        """Let this process open neither the board nor its tty in the `with` block."""

    @staticmethod
    def as_nobody() -> AbstractContextManager[None]:
        """Take all rights but those of every user from this process, in the `with` block."""
        return _as_nobody()

    @abstractmethod
    def no_backend(self) -> AbstractContextManager[None]:
        """In this block libusb cannot be loaded."""

    def find(self, **wanted: Any) -> Any:
        """pyusb's own `find` on this host, for boards."""
        backend = self.host.backend() if self.host.backend else None
        found = usb.core.find(idVendor=0x2B23, backend=backend, **wanted)
        several = list(found) if wanted.get("find_all") else [found]
        self._opened += [one for one in several if one is not None]
        return several if wanted.get("find_all") else found

    def look(self, serial: str) -> Verdict:
        """Probe the board again."""
        return probe(self.host, serial, LOOK_S).verdict

    def device(self, serial: str) -> Any:
        """The board as pyusb has it, opened by a first request."""
        device = self.find(serial_number=serial)
        device.ctrl_transfer(*REFRESH)
        return device

    def let_go(self) -> None:
        """Close every device that was found."""
        while self._opened:
            usb.util.dispose_resources(self._opened.pop())

    def tty(self, serial: str) -> Path:
        """The console's node."""
        return self.host.dev / "serial" / "by-id" / f"usb-Red_Hat_Inc._Dutlink_{serial}-if00"

    def unplug(self, serial: str) -> None:
        """Pull the board and wait until this host has noticed."""
        self.management.fault(serial, "unplug")
        _wait(lambda: self.look(serial) is Verdict.ABSENT and not self.tty(serial).exists())

    def restore(self, serial: str) -> None:
        """Have the board without faults and plugged in."""
        self.management.clear(serial)
        _wait(lambda: self.tty(serial).exists() and self.look(serial) is Verdict.PRESENT)


class SimulatedWorld(World):
    """The simulated host: our pyusb backend and its folder of nodes."""

    def __init__(self, simulator: SimulatorProcess) -> None:
        host = replace(simulated_host(simulator.ready), stick_memory=None)
        super().__init__(host, simulator.management, tuple(simulator.serials()))

    @contextmanager
    def denied(self, serial: str) -> Iterator[None]:
        """Two faults: a tty of the simulator's is denied by its mode, which does not stop root."""
        self.management.fault(serial, "deny")
        self.management.fault(serial, "deny_tty")
        with _as_nobody():
            yield

    @contextmanager
    def no_backend(self) -> Iterator[None]:
        """A fault."""
        self.management.fault(self.serials[0], "no_backend")
        yield


class KernelWorld(World):
    """Linux: libusb, udev and /dev."""

    def __init__(self, job_path: str) -> None:
        job = json.loads(Path(job_path).read_text("utf-8"))
        control = ManagementClient(job["ready"]["control_port"], job["address"], job["ready"]["token"])
        super().__init__(Host(), control, tuple(board["serial"] for board in job["ready"]["boards"]))
        self._hidden = False

    def close(self) -> None:
        """Hang up."""
        self.management.close()

    @contextmanager
    def denied(self, serial: str) -> Iterator[None]:
        """Become a user whom no udev rule lets in."""
        self.look(serial)
        with _as_nobody():
            yield

    @contextmanager
    def no_backend(self) -> Iterator[None]:
        """What is loaded stays loaded, so the looking is done by other processes, which find no libusb."""
        self._hidden = True
        yield
        self._hidden = False

    def find(self, **wanted: Any) -> Any:
        """pyusb's own `find`, here or in a process without libusb."""
        if not self._hidden:
            return super().find(**wanted)
        raise getattr(usb.core, _without_libusb(FINDS))

    def look(self, serial: str) -> Verdict:
        """Probe the board again, here or in a process without libusb."""
        return Verdict(_without_libusb(LOOKS)) if self._hidden else super().look(serial)


def _wait(condition: Callable[[], bool]) -> None:
    if not until(condition, LIMIT_S):
        message = f"the host did not follow within {LIMIT_S:.0f} s"
        raise TimeoutError(message)


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Give up root's rights for a moment; a plain user has none to give up."""
    was = os.geteuid()
    group, groups = os.getegid(), os.getgroups()
    if was == 0:
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was == 0:
            os.seteuid(was)
            os.setegid(group)
            os.setgroups(groups)


def _without_libusb(code: str) -> str:
    import libusb_package  # noqa: PLC0415 - only the kernel session needs it

    libraries = [str(libusb_package.get_library_path())]
    libraries += [str(path) for path in Path("/usr/lib").glob("*/libusb-1.0.so.0")]
    script = " && ".join(f"mount --bind /dev/null {library}" for library in libraries) + ' && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S).stdout.strip()
