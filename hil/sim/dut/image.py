"""Disk images: which images the simulated DUT boots, and how it names them.

The name of an image is in the boot code of its first sector, which MBR, GPT and ISO 9660 do not use.
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
"""Default size for `build_image`."""

_IDENTIFIED_BYTES: Final = 1 << 20
_SECTOR_BYTES: Final = 512
_FIRST_PARTITION: Final = 2048
"""First sector of the partition, and so the number of sectors before it."""

_SIGNATURES: Final = ((510, b"\x55\xaa"), (512, b"EFI PART"), (32769, b"CD001"))
"""Offset in bytes and value of the MBR boot signature, the GPT header and the ISO 9660 volume descriptor."""

_NAME_MARK: Final = b"hil-image:"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_MARKED_NAME: Final = re.compile(re.escape(_NAME_MARK) + b"(" + _NAME.pattern.encode() + b")\0")


@dataclass(frozen=True, slots=True)
class DutImage:
    """A bootable image.

    Attributes:
        name: Name given to `build_image`; empty for another image.
        digest: The first 16 hex digits of the SHA-256 of its first MiB.
    """

    name: str
    digest: str

    @property
    def identity(self) -> str:
        """The text that the DUT prints for the image when it boots: the name, if any, and the digest."""
        return f"{self.name} {self.digest}".lstrip()


def read_image(store: BlockStore) -> DutImage | None:
    """Read the start of a stick; return its image, or None if it is not bootable.

    Raises:
        OSError: The stick cannot be read.
    """
    start = store.read(0, min(_IDENTIFIED_BYTES, store.size_bytes))
    if not any(start.startswith(signature, offset) for offset, signature in _SIGNATURES):
        return None
    return _identify(start)


def build_image(path: Path, name: str, size_bytes: int = IMAGE_SIZE_BYTES) -> DutImage:
    """Write a bootable image with a name: a sparse, mostly empty file.

    It has an MBR with one partition. The first 64 KiB of the partition are computed from the name.

    Args:
        path: The file to write. An existing file is replaced.
        name: At most 64 letters, digits and `. _ + -`.
        size_bytes: At least 2 MiB, in whole sectors of 512 bytes.

    Raises:
        ValueError: The name or the size is not allowed.
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
    """Return an MBR: the name as boot code, four entries of 16 bytes, the signature."""
    boot_code = (_NAME_MARK + name.encode()).ljust(446, b"\0")
    sectors = size_bytes // _SECTOR_BYTES - _FIRST_PARTITION
    active, linux = b"\x80", b"\x83"
    entry = active + bytes(3) + linux + bytes(3) + _le32(_FIRST_PARTITION) + _le32(sectors)
    return boot_code + entry.ljust(64, b"\0") + b"\x55\xaa"


def _le32(value: int) -> bytes:
    return min(value, 0xFFFFFFFF).to_bytes(4, "little")
