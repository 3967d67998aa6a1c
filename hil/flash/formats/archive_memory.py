"""The memory that decompressing an archive takes, and the memory that this process may use.

Sources: RFC 8878, 3.1.1.1 (zstd frame header); proc_meminfo(5); the kernel's cgroup-v2.rst.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

__all__ = ["UnsupportedArchiveError", "available_bytes", "zstd_decoder_bytes"]

_ALWAYS_BYTES = 192 << 20
"""Always allowed: it suffices for zstd's default window (128 MiB) and `xz -9` (65 MiB)."""

_MOST_BYTES = (2 << 30) + (64 << 20)
_PART = 0.75
_FRAME_BYTES = 1 << 20
"""Memory of a decoder besides its window: blocks of 128 KiB, and tables."""

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_DICTIONARY_BYTES = (0, 1, 2, 4)
_SIZE_BYTES = (0, 2, 4, 8)


class UnsupportedArchiveError(Exception):
    """A sound archive cannot be decompressed here; the message says why."""


def zstd_decoder_bytes(start: bytes) -> int:
    """Return the bytes of memory that decompressing a zstd frame takes, by its first bytes.

    Raises:
        UnsupportedArchiveError: The frame needs a dictionary.
    """
    if len(start) < 6:  # noqa: PLR2004 - magic, descriptor, and a byte of window or size
        return 0
    descriptor = start[4]
    single = bool(descriptor & 0x20)
    at = 5 if single else 6
    dictionary = _DICTIONARY_BYTES[descriptor & 3]
    if any(start[at : at + dictionary]):
        raise UnsupportedArchiveError("it was compressed with a dictionary, which it does not hold")
    at += dictionary
    size_bytes = 1 if single and descriptor < 0x40 else _SIZE_BYTES[descriptor >> 6]  # noqa: PLR2004 - RFC 8878
    has_size = size_bytes > 0 and len(start) >= at + size_bytes
    content = int.from_bytes(start[at : at + size_bytes], "little") + (256 if size_bytes == 2 else 0)  # noqa: PLR2004 - RFC 8878
    if single:
        return content + _FRAME_BYTES
    base = 1 << (10 + (start[5] >> 3))
    window = base + (base >> 3) * (start[5] & 7)
    return (min(window, content) if has_size else window) + _FRAME_BYTES


def available_bytes() -> int:
    """Return how much memory decompressing an archive may take, in bytes.

    It is three quarters of the smallest amount that the host, the control groups and the process's own limit
    leave, but at least 192 MiB and at most what zstd's largest window takes.
    """
    limits = [_host_bytes(), *_cgroup_bytes()]
    soft, _hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return max(_ALWAYS_BYTES, min(_MOST_BYTES, int(_PART * min(limits))))


def _host_bytes() -> int:
    with suppress(OSError, ValueError):
        for line in (_PROC / "meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return _MOST_BYTES


def _cgroup_bytes() -> list[int]:
    """Return the bytes that each control group of this process leaves; cached files count as free."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = (_PROC / "self" / "cgroup").read_text("utf-8").splitlines()
        group = _CGROUPS / next(line[3:] for line in lines if line.startswith("0::")).lstrip("/")
        while group != _CGROUPS and _CGROUPS in group.parents:
            with suppress(OSError, ValueError):
                most = (group / "memory.max").read_text("ascii").strip()
                if most != "max":
                    found.append(int(most) - _unreclaimable_bytes(group))
            group = group.parent
    return found


def _unreclaimable_bytes(group: Path) -> int:
    for line in (group / "memory.stat").read_text("ascii").splitlines():
        if line.startswith("anon "):
            return int(line.split()[1])
    return 0
