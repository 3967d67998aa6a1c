"""Find the programs that have a disk open or mapped, in `/proc`."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hil.flash.disk.sysfs import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.flash.disk.sysfs import BlockDevice

__all__ = ["opened_by"]

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
        with open(f"{task}/maps", "rb", buffering=0) as file:  # noqa: PTH123 - as above
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
        link = os.readlink(descriptor)  # noqa: PTH115 - see above
        if not link.startswith("/"):
            return ""
        status = os.stat(descriptor)  # noqa: PTH116 - see above
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
