"""The kernel's lists of what uses a disk: mounts, swap, loop devices (proc(5): mountinfo, swaps).

A device is looked up by its identity; see `hil.flash.disk.sysfs.identity_of`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hil.flash.disk.sysfs import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["file_system_of", "loops_over", "mounts_elsewhere", "mounts_of", "swaps_on"]

_PROC = Path("/proc")
_ESCAPED = re.compile(r"\\([0-7]{3})")
_NUMBER, _POINT, _TYPE, _SOURCE = 2, 4, 0, 1
"""Positions in a line of mountinfo: two before its dash, two after it."""


def mounts_of(identity: str) -> list[str]:
    """Return where this process sees a device mounted, also if its file system has its own device number."""
    return _mounted(identity, "self")


def mounts_elsewhere(identity: str) -> tuple[str, str] | None:
    """Return a process in another mount namespace that sees a device mounted, and the path there.

    Containers have mount namespaces. Return None if there is no such process. Only root sees all of them.
    """
    seen = {_namespace("self")}
    for process in sorted((entry.name for entry in _PROC.iterdir() if entry.name.isdecimal()), key=int):
        namespace = _namespace(process)
        if namespace not in seen and (points := _mounted(identity, process)):
            return process, points[0]
        seen.add(namespace)
    return None


def loops_over(identity: str, sys: Path) -> list[str]:
    """Return the names of loop devices over a disk or partition, which the kernel does not count as a use."""
    backed = sorted(sys.glob("block/loop*/loop/backing_file"))
    return [
        file.parent.parent.name
        for file in backed
        if identity and identity == _identity_at(Path("".join(_lines(file)[:1])))
    ]


def file_system_of(path: Path) -> str:
    """Return the type of the file system that a path is on, such as `ext4`; empty if it is not known."""
    try:
        device = path.stat().st_dev
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    return next((kind for one, _point, kind, _source in _mounts("self") if one == number), "")


def swaps_on(identity: str) -> bool:
    """Return True if the kernel swaps to a device."""
    lines = _lines(_PROC / "swaps")[1:]
    used = (_identity_at(Path(_unescape(line.split()[0]))) for line in lines if line.strip())
    return bool(identity) and identity in used


def _mounted(identity: str, process: str) -> list[str]:
    return [
        point
        for number, point, _kind, source in _mounts(process)
        if identity and identity in (number, _identity_at(Path(source)) if source.startswith("/dev/") else "")
    ]


def _namespace(process: str) -> str:
    try:
        return str((_PROC / process / "ns" / "mnt").readlink())
    except OSError:
        return ""  # the process is another user's, or has ended


def _mounts(process: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield device number, mount point, type and source of each mount that a process sees."""
    for line in filter(None, _lines(_PROC / process / "mountinfo")):
        place, _, source = line.partition(" - ")
        fields, more = place.split(" "), source.split(" ")
        yield (
            fields[_NUMBER],
            _unescape(fields[_POINT]),
            more[_TYPE],
            _unescape(more[_SOURCE]),
        )


def _identity_at(path: Path) -> str:
    try:
        return identity_of(path.stat())
    except OSError:
        return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError:
        return []


def _unescape(text: str) -> str:
    r"""Replace the kernel's escapes for white space, such as `\040`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
