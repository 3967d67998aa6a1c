"""What is written to, a loop device where that is possible, else a file; and a flash in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bare_memory_bytes", "device", "flash", "unpacking_s"]

_KIB = 1024


@dataclass(frozen=True, slots=True)
class _Told:
    """What sysfs would tell of a disk, as far as the writer asks."""

    size_bytes: int
    block_bytes: int = 512
    usb_names: tuple[str, ...] = ()
    key: str = "bench"


@contextmanager
def device(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Make a disk of that size, for the `with` block; its bytes lie in a file of `folder`."""
    behind = folder / "disk"
    with behind.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)
    loop = _loop_device(behind)
    try:
        yield loop or behind
    finally:
        if loop:
            subprocess.run(["losetup", "--detach", loop], check=True)


def _loop_device(behind: Path) -> Path | None:
    """Attach a loop device that goes past the page cache; None without root, or without loop devices."""
    try:
        command = ["losetup", "--find", "--show", "--direct-io=on", behind]
        told = subprocess.run(command, check=True, text=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return Path(told.stdout.strip())


def flash(image: Path, disk: Path, *, force: bool) -> dict[str, Any]:
    """Flash in a child; returns what `Flashed` says, `flash_s` for all, and its peak `memory_bytes`.

    `again_s` is what the same flash takes once more, of a stick that no program has opened since.
    """
    command = [sys.executable, __file__, str(image), str(disk), *(["force"] if force else [])]
    return json.loads(subprocess.check_output(command, text=True))


def unpacking_s(archive: Path) -> float:
    """How long Python's own decompressor takes to unpack an archive into nothing."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from hil.flash.formats.stream import MAX_READ_BYTES, open_stream\n"
        "began = time.monotonic()\n"
        "with open_stream(Path(sys.argv[1])) as stream:\n"
        "    while stream.read(MAX_READ_BYTES): pass\n"
        "print(time.monotonic() - began)"
    )
    return float(subprocess.check_output([sys.executable, "-c", code, str(archive)], text=True))


def bare_memory_bytes() -> int:
    """What an interpreter takes that has imported nothing."""
    code = "print(open('/proc/self/status').read())"
    return _peak_bytes(subprocess.check_output([sys.executable, "-c", code], text=True))


def _peak_bytes(status: str) -> int:
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * _KIB


def _child(image: Path, disk: Path, *, force: bool) -> None:
    from hil.flash.disk.disk import Disk  # noqa: PLC0415 - only the child needs them
    from hil.flash.flash_image import flash_image  # noqa: PLC0415
    from hil.flash.formats.open import open_image  # noqa: PLC0415
    from hil.flash.progress import NoProgress  # noqa: PLC0415

    def claim() -> Disk:
        descriptor = os.open(disk, os.O_RDWR | os.O_CLOEXEC)
        return Disk(descriptor, disk, _Told(os.lseek(descriptor, 0, os.SEEK_END)))

    opened = open_image(image)
    began = time.monotonic()
    flashed = flash_image(claim, opened, NoProgress(), force=force)
    told = asdict(flashed)
    told["flash_s"] = time.monotonic() - began
    began = time.monotonic()
    flash_image(claim, opened, NoProgress(), force=False, earlier=flashed)
    told["again_s"] = time.monotonic() - began
    told["memory_bytes"] = _peak_bytes(Path("/proc/self/status").read_text(encoding="ascii"))
    print(json.dumps(told, default=str))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]), force=sys.argv[3:] == ["force"])
