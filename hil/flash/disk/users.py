"""What uses a disk on this host now, and what to do about it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hil.flash.disk.kernel_users import loops_over, mounts_elsewhere, mounts_of, swaps_on
from hil.flash.disk.sysfs import BlockDevice, block_device, identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BUSY",
    "DiskRefusal",
    "explain_busy",
    "is_of_this_system",
    "iter_users",
    "opened_by",
    "used_elsewhere",
    "user_of",
]

_FOLLOW = "see which disk follows the board: hil storage host, lsblk, hil storage off"


class DiskRefusal(NamedTuple):
    """A reason not to write to a disk.

    Attributes:
        why: The reason.
        remedy: What to do next.
    """

    why: str
    remedy: str = _FOLLOW


BUSY = DiskRefusal(
    "another program uses it, or a part of it",
    "end it: lsblk and fuser -v on the disk name it; btrfs filesystem show, zpool status those of many disks",
)


def explain_busy(node: Path, sys: Path) -> DiskRefusal:
    """Return what uses a disk that the kernel refuses to open exclusively."""
    with suppress(OSError):
        device = block_device(sys, identity_of(node.stat()))
        if device is not None:
            return next(iter_users(device, sys), None) or used_elsewhere(device) or BUSY
    return BUSY


def iter_users(device: BlockDevice, sys: Path) -> Iterator[DiskRefusal]:
    """Yield what uses the disk or a part of it in this mount namespace."""
    for part in (device, *device.partitions()):
        for point in mounts_of(part.identity):
            yield DiskRefusal(
                f"{part.name} is mounted at {point}",
                f"umount {point}; let nothing mount the stick by itself (docs/flash.md)",
            )
        if swaps_on(part.identity):
            yield DiskRefusal(f"the kernel swaps to {part.name}", f"swapoff /dev/{part.name}")
        for holder in part.holders():
            yield _built_on(part, holder)
        for loop in loops_over(part.identity, sys):
            yield DiskRefusal(f"{loop} is a loop device over {part.name}", f"losetup -d /dev/{loop}")


def _built_on(part: BlockDevice, holder: BlockDevice) -> DiskRefusal:
    """Return a refusal about a volume or RAID on the disk: where it is mounted, and how to stop it."""
    name, kind = holder.mapped
    label = f"{holder.name} ({name})" if name else holder.name
    if not name:
        end = _stop_command(holder.name)
    else:
        end = {"LVM": f"lvchange -an /dev/mapper/{name}", "CRYPT": f"cryptsetup close {name}"}.get(
            kind, f"dmsetup remove {name}"
        )
    for one in (holder, *_stacked_on(holder)):
        for point in mounts_of(one.identity):
            why = f"{label} is built on {part.name}, and mounted at {point}"
            return DiskRefusal(why, f"umount {point}, then {end}")
        if swaps_on(one.identity):
            why = f"{label} is built on {part.name}, and the kernel swaps to it"
            return DiskRefusal(why, f"swapoff /dev/{one.name}, then {end}")
    return DiskRefusal(f"{label} is built on {part.name}", f"{end}; lsblk shows what is built on it")


def _stop_command(name: str) -> str:
    """Return the command that stops a device that is not the device mapper's."""
    if name.startswith("md"):
        return f"mdadm --stop /dev/{name}"
    if name.startswith("bcache"):
        return f"echo 1 > /sys/block/{name}/bcache/stop (as root)"
    return f"stop {name} with the tool that made it"


def _stacked_on(device: BlockDevice) -> Iterator[BlockDevice]:
    """Yield every device built on a disk or its partitions, recursively."""
    for part in (device, *device.partitions()):
        for holder in part.holders():
            yield holder
            yield from _stacked_on(holder)


def used_elsewhere(device: BlockDevice) -> DiskRefusal | None:
    """Return a refusal about a container that has mounted the disk, or None if none is found."""
    for part in (device, *device.partitions(), *_stacked_on(device)):
        if found := mounts_elsewhere(part.identity):
            process, point = found
            return DiskRefusal(
                f"{part.name} is mounted at {point} by process {process}, in another mount namespace",
                f"end that container, or nsenter -m -t {process} umount {point}",
            )
    return None


def user_of(disk: BlockDevice, sys: Path, dev: Path) -> str:
    """Return what uses a disk or a part of it, such as "sda1 is mounted at /mnt"; empty if nothing is found.

    Args:
        disk: A whole disk.
        sys: The host's sysfs folder.
        dev: The host's device folder.
    """
    for use in iter_users(disk, sys):
        return use.why
    elsewhere = used_elsewhere(disk)
    return elsewhere.why if elsewhere else next(opened_by(disk, dev), "") or _held(disk, dev)


def _held(disk: BlockDevice, dev: Path) -> str:
    """Return that the kernel uses a disk although no list shows it; empty if not, or if it may not be opened.

    Examples: a mount that was detached (`umount -l`), the journal of another file system, one part of a file
    system on many disks, a mount in a namespace without a process.
    """
    node = dev / disk.name
    flags = os.O_RDONLY | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        status = node.lstat()
        if stat.S_ISBLK(status.st_mode) and identity_of(status) == disk.identity:
            os.close(os.open(node, flags))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return (
                f"{disk.name} is held by the kernel for a use that it does not list, or by a hidden program"
            )
    return ""


def is_of_this_system(disk: BlockDevice) -> bool:
    """Return True if this system runs from a disk: its root file system or swap is on it or built on it."""
    parts = (disk, *disk.partitions(), *_stacked_on(disk))
    return any("/" in mounts_of(part.identity) or swaps_on(part.identity) for part in parts)


_PROC = Path("/proc")
_LINKS_OF_ONE_TASK = 3
"""Link count of a process's `task` folder if it has one thread: two, and one for each thread."""

_UDEV = ("(udev-worker)", "udev-worker", "systemd-udevd", "udevd")


def opened_by(disk: BlockDevice, dev: Path) -> Iterator[str]:
    """Yield which programs have a disk or a part of it open or mapped.

    Only root sees other users' programs. A descriptor in transit through a Unix socket is not found, since it
    belongs to no process.
    """
    names = {part.identity: part.name for part in (disk, *disk.partitions()) if part.identity}
    nodes = str(dev.resolve())
    mapped = {name: f" {nodes}/{name}\n".encode() for name in names.values()}
    for pid in _entries(str(_PROC)):
        if not pid.isdecimal() or _is_udev(_PROC / pid):
            continue
        for task, descriptors in _tables(f"{_PROC}/{pid}", pid):
            paths = (f"{task}/fd/{descriptor}" for descriptor in descriptors)
            held = (names[opened] for path in paths if (opened := _opened(path, nodes)) in names)
            use, name = "open", next(held, "")
            if not name:
                use, name = "mapped", _mapped(task, mapped)
            if name:
                yield f"{name} is {use} in process {pid} ({_command(Path(task))})"
                break


def _tables(process: str, pid: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the tasks of a process that may have descriptors of their own, with the descriptors.

    A thread shares the main thread's unless it called `unshare`, or the main thread has ended.
    """
    first = _entries(f"{process}/fd")
    yield process, first
    tasks = f"{process}/task"
    with suppress(OSError):
        if os.stat(tasks).st_nlink <= _LINKS_OF_ONE_TASK:  # noqa: PTH116 - a `Path` would cost more
            return
    for thread in _entries(tasks):
        if thread != pid and (descriptors := _entries(f"{tasks}/{thread}/fd")) != first:
            yield f"{tasks}/{thread}", descriptors


def _mapped(task: str, nodes: dict[str, bytes]) -> str:
    """Return which disk a task has mapped; empty if none.

    Args:
        task: The task's folder in `/proc`.
        nodes: For each disk how a line of `maps` ends that names its node.
    """
    try:
        with open(f"{task}/maps", "rb", buffering=0) as file:  # noqa: PTH123 - a `Path` would cost more
            maps = file.readall()
    except OSError:
        return ""
    return next((name for name, ending in nodes.items() if ending in maps), "")


def _opened(descriptor: str, nodes: str) -> str:
    """Return the identity of the device that a descriptor refers to; empty if it is no device.

    A plain file in the device folder counts as a device, for simulated ones. A busy host has thousands of
    descriptors, and a `Path` for each would cost more than everything else here.
    """
    with suppress(OSError):
        link = os.readlink(descriptor)  # noqa: PTH115 - a `Path` would cost more
        if not link.startswith("/"):
            return ""
        status = os.stat(descriptor)  # noqa: PTH116 - a `Path` would cost more
        if stat.S_ISBLK(status.st_mode) or (
            stat.S_ISREG(status.st_mode) and link.rpartition("/")[0] == nodes
        ):
            return identity_of(status)
    return ""


def _is_udev(process: Path) -> bool:
    """Return True for udev, which reads each disk that appears or was written, and changes none."""
    with suppress(OSError):
        return (process / "comm").read_text().strip() in _UDEV and process.stat().st_uid == 0
    return False


def _command(process: Path) -> str:
    with suppress(OSError):
        words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").split()
        return " ".join(word if at else os.path.basename(word) for at, word in enumerate(words[:3]))  # noqa: PTH119
    return "it ends just now"


def _entries(folder: str) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)  # noqa: PTH208 - names
    return []
