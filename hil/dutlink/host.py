"""The one seam between real and simulated boards.

A host is where boards are plugged in: a pyusb backend that reaches them, the folder where their device
nodes appear, and the folder where the kernel tells about disks. The system's own host has libusb, `/dev` and
`/sys`; the simulator fills all three places with its own.
Above this line nothing knows which one it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.storage.usb_sockets import StickMemory
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.results import Flashed, ReadBack

__all__ = ["SLOWEST_STICK_S", "FarStick", "Host"]

SLOWEST_STICK_S = 8.0
"""Seconds after *host* within which a stick comes: a mux of 3.5 s and a disk of 3.7 s come sooner."""


class FarStick(Protocol):
    """A stick on another machine: images go there, and are written and proven there."""

    def flash(self, image: Image, progress: Progress, *, force: bool) -> Flashed:
        """Do what `Storage.flash` promises."""
        ...

    def read(self, path: Path, size_bytes: int | None, progress: Progress) -> ReadBack:
        """Do what `Storage.read` promises."""
        ...

    def check_proven(self) -> None:
        """Do what `Storage.check_proven` promises."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """Where boards are plugged in.

    Attributes:
        label: What reports call it ("this host", "2 simulated boards").
        backend: Makes the pyusb backend, once per process and when first needed. None: the system's libusb,
            else the one that `libusb-package` ships.
        dev: The folder where device nodes appear, with `serial/by-id` and `disk/by-id` in it.
        far_stick: Who flashes and reads the stick, where it is on another machine and its bytes are not here.
        sys: The folder where the kernel tells about disks, with `block` and `dev/block` in it.
        stick_memory: Gives, by a board's serial number, what keeps the socket where its stick comes; None:
            each process learns that again.
        slowest_stick_s: Seconds after *host* until a stick that is there has come; where its socket is not
            known, all that comes is looked at for so long. Less where simulated time is faster: the pauses in
            which other disks may come or go are then shorter to the same degree.
    """

    label: str = "this host"
    backend: Callable[[], Any] | None = field(default=None, compare=False)
    dev: Path = Path("/dev")
    sys: Path = Path("/sys")
    far_stick: FarStick | None = field(default=None, compare=False)
    stick_memory: Callable[[str], StickMemory] | None = field(default=None, compare=False)
    slowest_stick_s: float = SLOWEST_STICK_S

    @property
    def remedy_for_absent(self) -> str:
        """What to do about a board that is not there: cables only where boards have them."""
        return (
            "plug it in, or check its cable" if self.dev == Path("/dev") else "hil boards lists what is there"
        )
