"""The only difference between real and simulated boards: the host.

A host is where boards are plugged in: a pyusb backend that reaches them, the folder in which their device
nodes appear, and the kernel's folder for disks. On a real host these are libusb, `/dev` and `/sys`; the
simulator has its own. No other module of `hil.dutlink` knows whether a board is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hil.dutlink.storage.stick_memory import StickMemory
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress
    from hil.flash.results import Flashed, ReadBack

__all__ = ["SLOWEST_STICK_S", "Host", "RemoteStorage"]

SLOWEST_STICK_S = 8.0
"""Seconds after *host* within which a stick comes: a mux of 3.5 s and a disk of 3.7 s come sooner."""


class RemoteStorage(Protocol):
    """A stick on another machine, where images are written and verified."""

    def flash(self, image: Image, progress: Progress, *, force: bool) -> Flashed:
        """Do what `Storage.flash` promises."""
        ...

    def read(self, path: Path, size_bytes: int | None, progress: Progress) -> ReadBack:
        """Do what `Storage.read` promises."""
        ...

    def check_image_verified(self) -> None:
        """Do what `Storage.check_image_verified` promises."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """Where boards are plugged in.

    Attributes:
        label: What reports call it ("this host", "2 simulated boards").
        backend: Makes the pyusb backend, once per process and when first needed. None: the system's libusb,
            else the one that `libusb-package` contains.
        dev: The folder in which device nodes appear, with `serial/by-id` and `disk/by-id`.
        remote_stick: Flashes and reads a stick that is on another machine; None: the stick is on this one.
        sys: The kernel's folder for disks, with `block` and `dev/block`.
        stick_memory: Returns, for a board's serial number, the memory of the socket at which its stick comes;
            None: each process learns it again.
        slowest_stick_s: The longest time after *host* that a stick needs to come, in seconds. If its socket
            is not known, disks are watched for so long. It is less if simulated time is faster; pauses in
            which other disks may come or go are then shorter in proportion.
        names: The serial number of each board by the name that the host gives it (`sim-1`); none on USB.
    """

    label: str = "this host"
    backend: Callable[[], Any] | None = field(default=None, compare=False)
    dev: Path = Path("/dev")
    sys: Path = Path("/sys")
    remote_stick: RemoteStorage | None = field(default=None, compare=False)
    stick_memory: Callable[[str], StickMemory] | None = field(default=None, compare=False)
    slowest_stick_s: float = SLOWEST_STICK_S
    recipe: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    names: Mapping[str, str] = field(default_factory=dict, compare=False)

    def name_of(self, serial: str) -> str:
        """Return the name that the host gives to a board, or an empty string."""
        return next((name for name, one in self.names.items() if one == serial), "")

    @property
    def remedy_for_absent(self) -> str:
        """What to do about a board that is absent; a simulated one has no cable."""
        return (
            "plug it in, or check its cable" if self.dev == Path("/dev") else "hil boards lists what is there"
        )

    def remedy_for_too_few(self, number: int) -> str:
        """What to do if a test needs more boards, `number` in all."""
        if self.dev == Path("/dev"):
            return "plug in another board"
        return f"--hil-boards sim:{number} (for hil sim: --boards {number})"

    @property
    def remedy_without_boards(self) -> str:
        """What to do if no board is there at all."""
        simulated = ", or try a simulated one: hil sim" if self.dev == Path("/dev") else ""
        return f"{self.remedy_for_absent}{simulated}"
