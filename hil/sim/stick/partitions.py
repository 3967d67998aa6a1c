"""Find a disk's partitions in an MBR or a GPT (UEFI 2.10, 5.3), as Linux does when the disk appears."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PARTITION_TABLE_BYTES", "Partition", "find_partitions"]

PARTITION_TABLE_BYTES: Final = 34 * 512
"""Size of MBR, GPT header and 128 entries at the start of a disk."""

_SECTOR: Final = 512
_MBR_ENTRIES: Final = 446
_MBR_ENTRY: Final = struct.Struct("<4xB3xII")
_PROTECTIVE: Final = 0xEE
_GPT_ENTRY: Final = struct.Struct("<16s16xQQ")
_GPT_ENTRY_BYTES: Final = 128
_FIRST_GPT_ENTRY: Final = 2 * _SECTOR


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition.

    Attributes:
        number: Its number, from 1.
        start: Its first sector.
        sectors: Its number of sectors.
    """

    number: int
    start: int
    sectors: int


def find_partitions(start: bytes, size_bytes: int) -> list[Partition]:
    """Return the partitions that lie within a disk.

    Args:
        start: The first `PARTITION_TABLE_BYTES` of the disk.
        size_bytes: Size of the disk.
    """
    if start[510:512] != b"\x55\xaa":
        return []
    is_gpt = any(kind == _PROTECTIVE for kind, _, _ in _mbr(start)) and start[_SECTOR:].startswith(
        b"EFI PART"
    )
    found = _gpt_partitions(start) if is_gpt else _mbr_partitions(start)
    return [one for one in found if one.start > 0 and (one.start + one.sectors) * _SECTOR <= size_bytes]


def _mbr(start: bytes) -> list[tuple[int, int, int]]:
    """Return type, first sector and length of the four MBR entries."""
    return [_MBR_ENTRY.unpack_from(start, _MBR_ENTRIES + 16 * number) for number in range(4)]


def _mbr_partitions(start: bytes) -> Iterator[Partition]:
    for number, (kind, first, sectors) in enumerate(_mbr(start), 1):
        if kind and sectors:
            yield Partition(number, first, sectors)


def _gpt_partitions(start: bytes) -> Iterator[Partition]:
    for number, at in enumerate(range(_FIRST_GPT_ENTRY, PARTITION_TABLE_BYTES, _GPT_ENTRY_BYTES), 1):
        kind, first, last = _GPT_ENTRY.unpack_from(start.ljust(PARTITION_TABLE_BYTES, b"\0"), at)
        if any(kind) and last >= first:
            yield Partition(number, first, last - first + 1)
