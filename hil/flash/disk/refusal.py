"""What speaks against writing to a disk, and what to do about it: above all, that something uses it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from hil.flash.disk.kernel_users import loops_over, mounts_elsewhere, mounts_of, swaps_on
from hil.flash.disk.sysfs import BlockDevice, block_device, identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BUSY", "Doubt", "stacked_on", "used_elsewhere", "uses_of", "why_busy"]

_FOLLOW = "see which disk follows the board: hil storage host, lsblk, hil storage off"


class Doubt(NamedTuple):
    """One reason.

    Attributes:
        why: What is so.
        remedy: What to do next.
    """

    why: str
    remedy: str = _FOLLOW


BUSY = Doubt(
    "another program uses it, or a part of it",
    "end it: lsblk and fuser -v on the disk name it; btrfs filesystem show, zpool status those of many disks",
)


def why_busy(node: Path, sys: Path) -> Doubt:
    """Return what uses a disk that the kernel does not open exclusively."""
    with suppress(OSError):
        device = block_device(sys, identity_of(node.stat()))
        if device is not None:
            return next(uses_of(device, sys), None) or used_elsewhere(device) or BUSY
    return BUSY


def uses_of(device: BlockDevice, sys: Path) -> Iterator[Doubt]:
    """Yield what uses the disk or a part of it."""
    for part in (device, *device.partitions()):
        for point in mounts_of(part.identity):
            yield Doubt(
                f"{part.name} is mounted at {point}",
                f"umount {point}; let nothing mount the stick by itself (docs/flash.md)",
            )
        if swaps_on(part.identity):
            yield Doubt(f"the kernel swaps to {part.name}", f"swapoff /dev/{part.name}")
        for holder in part.holders():
            yield _built_on(part, holder)
        for loop in loops_over(part.identity, sys):
            yield Doubt(f"{loop} is a loop device over {part.name}", f"losetup -d /dev/{loop}")


def _built_on(part: BlockDevice, holder: BlockDevice) -> Doubt:
    """Return that a volume or RAID is there, where it is mounted, and what takes it down."""
    name, kind = holder.mapped
    label = f"{holder.name} ({name})" if name else holder.name
    if not name:
        end = _stop_command(holder.name)
    else:
        end = {"LVM": f"lvchange -an /dev/mapper/{name}", "CRYPT": f"cryptsetup close {name}"}.get(
            kind, f"dmsetup remove {name}"
        )
    for one in (holder, *stacked_on(holder)):
        for point in mounts_of(one.identity):
            why = f"{label} is built on {part.name}, and mounted at {point}"
            return Doubt(why, f"umount {point}, then {end}")
        if swaps_on(one.identity):
            why = f"{label} is built on {part.name}, and the kernel swaps to it"
            return Doubt(why, f"swapoff /dev/{one.name}, then {end}")
    return Doubt(f"{label} is built on {part.name}", f"{end}; lsblk shows what is built on it")


def _stop_command(name: str) -> str:
    """Return what takes down a device that the device mapper does not know."""
    if name.startswith("md"):
        return f"mdadm --stop /dev/{name}"
    if name.startswith("bcache"):
        return f"echo 1 > /sys/block/{name}/bcache/stop (as root)"
    return f"stop {name} with the tool that made it"


def stacked_on(device: BlockDevice) -> Iterator[BlockDevice]:
    """Yield every device built on a disk or its partitions, recursively."""
    for part in (device, *device.partitions()):
        for holder in part.holders():
            yield holder
            yield from stacked_on(holder)


def used_elsewhere(device: BlockDevice) -> Doubt | None:
    """Return which container has mounted the disk, or None if none is found."""
    for part in (device, *device.partitions(), *stacked_on(device)):
        if found := mounts_elsewhere(part.identity):
            process, point = found
            return Doubt(
                f"{part.name} is mounted at {point} by process {process}, in another mount namespace",
                f"end that container, or nsenter -m -t {process} umount {point}",
            )
    return None
