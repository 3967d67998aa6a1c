"""Disk images: which of them the simulated DUT boots, and what it calls them.

The name of an image lies in the boot code of its first sector, which a partition table of either kind and an
ISO 9660 file system leave free.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.interfaces import BlockStore

__all__ = ["IMAGE_SIZE_BYTES", "DutImage", "build_image", "read_image"]

IMAGE_SIZE_BYTES: Final = 8 << 20
"""How large `build_image` makes an image unless told."""

_IDENTIFIED_BYTES: Final = 1 << 20
_SECTOR_BYTES: Final = 512
_FIRST_PARTITION: Final = 2048
"""Sector of the first partition, and how many sectors an image needs before it has one."""

_SIGNATURES: Final = ((510, b"\x55\xaa"), (512, b"EFI PART"), (32769, b"CD001"))
"""MBR boot signature, GPT header, ISO 9660 volume descriptor: offsets in bytes, and what stands there."""

_NAME_MARK: Final = b"hil-image:"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_MARKED_NAME: Final = re.compile(re.escape(_NAME_MARK) + b"(" + _NAME.pattern.encode() + b")\0")


@dataclass(frozen=True, slots=True)
class DutImage:
    """A bootable image.

    Attributes:
        name: What `build_image` wrote into it; empty for an image from elsewhere.
        digest: The first 16 hex digits of the SHA-256 of its first MiB.
    """

    name: str
    digest: str

    @property
    def identity(self) -> str:
        """What the DUT prints when it boots the image: its name, if it has one, and its digest."""
        return f"{self.name} {self.digest}".lstrip()


def read_image(store: BlockStore) -> DutImage | None:
    """Look at the start of a stick; None when nothing there can be booted.

    Raises:
        OSError: The stick cannot be read.
    """
    start = store.read(0, min(_IDENTIFIED_BYTES, store.size_bytes))
    if not any(start.startswith(signature, offset) for offset, signature in _SIGNATURES):
        return None
    return _identify(start)


def build_image(path: Path, name: str, size_bytes: int = IMAGE_SIZE_BYTES) -> DutImage:
    """Write a bootable, mostly empty image (a sparse file) that carries a name.

    It has an MBR with one partition, and 64 KiB that follow from the name at the start of that partition.

    Args:
        path: The file to write; one that exists is replaced.
        name: Letters, digits and `. _ + -`, 64 at most.
        size_bytes: At least 2 MiB, in whole sectors of 512 bytes.

    Raises:
        ValueError: The name or the size is none of these.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not an image's name: {name!r}")
    if size_bytes < 2 * _FIRST_PARTITION * _SECTOR_BYTES or size_bytes % _SECTOR_BYTES:
        raise ValueError(f"not an image's size: {size_bytes} bytes")
    first_sector = _first_sector(name, size_bytes)
    with path.open("wb") as file:
        file.write(first_sector)
        file.seek(_FIRST_PARTITION * _SECTOR_BYTES)
        file.write(hashlib.shake_256(name.encode()).digest(64 << 10))
        file.truncate(size_bytes)
    return _identify(first_sector.ljust(_IDENTIFIED_BYTES, b"\0"))


def _identify(start: bytes) -> DutImage:
    named = _MARKED_NAME.match(start)
    name = named[1].decode() if named else ""
    return DutImage(name, hashlib.sha256(start).hexdigest()[:16])


def _first_sector(name: str, size_bytes: int) -> bytes:
    """An MBR: boot code (here the name), four entries of 16 bytes, the signature."""
    boot_code = (_NAME_MARK + name.encode()).ljust(446, b"\0")
    sectors = size_bytes // _SECTOR_BYTES - _FIRST_PARTITION
    active, linux = b"\x80", b"\x83"
    entry = active + bytes(3) + linux + bytes(3) + _le32(_FIRST_PARTITION) + _le32(sectors)
    return boot_code + entry.ljust(64, b"\0") + b"\x55\xaa"


def _le32(value: int) -> bytes:
    return min(value, 0xFFFFFFFF).to_bytes(4, "little")
