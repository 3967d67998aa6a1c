"""Runs the virtual machine: QEMU without KVM, the project and the results shared over 9p."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.kernel.vm.images import INITRD, KERNEL, ROOT_IMAGE
from tests.kernel.vm.steps import BuildError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HOST_ADDRESS", "PACKAGE_FOLDERS", "Machine"]

HOST_ADDRESS = "10.0.2.2"
"""This machine's loopback as QEMU's user network shows it to the guest."""

PACKAGE_FOLDERS = ("/opt/packages", "/opt/jumpstarter")
"""Where the guest finds them, in the order of its disks (`guest/start`)."""

_CPUS = 2
_MEMORY_MIB = 2048
_SHOWN_LINES = 40
_KERNEL_WORDS = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr"


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine that runs one job and ends.

    Attributes:
        images: The folder with its kernel, first file system and root image.
        project: Shared read-only, seen in the guest under the path that it has here.
        packages: Disk images with Python packages, for the guest's folders of `PACKAGE_FOLDERS`.
        results: Shared; what the job leaves.
    """

    images: Path
    project: Path
    packages: tuple[Path, ...]
    results: Path

    @property
    def console(self) -> Path:
        """What the guest's kernel and its start said."""
        return self.results / "guest-console.txt"

    def run(self, limit_s: float) -> int:
        """Run the job, whose output goes to this process's own; returns its status.

        Raises:
            BuildError: It took too long or never ended by itself; the end of the guest's console is told.
        """
        self.results.joinpath("project").write_text(f"{self.project}\n", "utf-8")
        status = self.results / "status"
        status.unlink(missing_ok=True)
        try:
            subprocess.run(self.command(), stdin=subprocess.DEVNULL, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"it took more than {limit_s:.0f} s") from error
        if not status.exists():
            raise self._failure("it ended before its job did")
        return int(status.read_text("utf-8"))

    def command(self) -> list[str]:
        """How QEMU is called: the second serial port is the job's output."""
        return [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", f"{_CPUS}"),
            *("-m", f"{_MEMORY_MIB}", "-display", "none", "-no-reboot", "-nodefaults"),
            *("-kernel", str(self.images / KERNEL), "-initrd", str(self.images / INITRD)),
            *("-append", _KERNEL_WORDS),
            *(word for image in (self.images / ROOT_IMAGE, *self.packages) for word in _disk(image)),
            *("-serial", f"file:{_escaped(self.console)}", "-serial", "stdio"),
            *("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="),
            *_share("project", self.project, "readonly=on"),
            *_share("results", self.results, "readonly=off"),
        ]

    def _failure(self, why: str) -> BuildError:
        said = self.console.read_text("utf-8", errors="replace") if self.console.exists() else ""
        end = "\n    ".join(said.splitlines()[-_SHOWN_LINES:])
        return BuildError(
            "the virtual machine did not do its job",
            why=f"{why}; its console said last:\n    {end or '(nothing)'}",
            remedy=f"see {self.results}",
        )


def _disk(image: Path) -> tuple[str, str]:
    return ("-drive", f"file={_escaped(image)},if=virtio,format=raw,readonly=on")


def _escaped(path: Path) -> str:
    """A path in one of QEMU's lists."""
    return str(path).replace(",", ",,")


def _share(tag: str, folder: Path, access: str) -> tuple[str, ...]:
    path = _escaped(folder)
    return (
        *("-fsdev", f"local,id={tag},path={path},security_model=none,{access}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    )
