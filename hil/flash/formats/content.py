"""Detect by its first bytes whether an image is a disk, and refuse a file system or foreign content."""

from __future__ import annotations

import enum
import json
import re
import struct
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.formats.image import Hole
from hil.flash.formats.magic_numbers import BOOT_SECTOR, DISKS, FILE_SYSTEMS, FOREIGN, WITH_BOOT_SECTOR

if TYPE_CHECKING:
    from hil.flash.formats.image import Image

__all__ = [
    "PROBE_BYTES",
    "SECTOR_BYTES",
    "Content",
    "ContentKind",
    "check_is_disk",
    "detect_content",
    "detect_footer",
    "foreign_format",
]

SECTOR_BYTES = 512
PROBE_BYTES = 68 * 1024
"""Bytes at an image's start that reach to the farthest magic number, that of Btrfs."""


class ContentKind(enum.Enum):
    """What an image may be.

    A boot volume is a file system without a partition table from which some firmware boots. Foreign content
    and text are never a disk.
    """

    DISK = enum.auto()
    FILE_SYSTEM = enum.auto()
    BOOT_VOLUME = enum.auto()
    FOREIGN = enum.auto()
    TEXT = enum.auto()
    UNKNOWN = enum.auto()


@dataclass(frozen=True, slots=True)
class Content:
    """What an image looks like.

    Attributes:
        kind: What it may be.
        words: What it looks like, for messages: `a web page`.
    """

    kind: ContentKind
    words: str


_PARTITIONS_AT, _PARTITION_BYTES = 446, 16

_FOOTERS = (
    (
        b"conectix",
        ContentKind.UNKNOWN,
        "a fixed VHD, 512 bytes more than its disk (qemu-img convert -f vpc -O raw)",
    ),
    (b"koly", ContentKind.FOREIGN, "an Apple disk image (DMG)"),
)

_TEXTS = (
    (
        re.compile(r"\s*(<!doctype html|<html|<head|<body|<title|<h1|<center)", re.IGNORECASE),
        "a web page (HTML)",
    ),
    (re.compile(r"\s*<\?xml|\s*<[A-Za-z!]"), "XML"),
    (
        re.compile(r"# Disk DescriptorFile", re.IGNORECASE),
        "a VMDK descriptor, which only names a disk's files,",
    ),
    (
        re.compile(r"\\?(SHA|MD5|BLAKE)[\w/-]* ?\(|\\?[0-9a-fA-F]{32,128}([ \t]+\*?\S.*)?\s*$", re.MULTILINE),
        "a checksum file",
    ),
    (re.compile(r"-----BEGIN PGP"), "an OpenPGP signature or message"),
    (re.compile(r"-----BEGIN "), "a key or certificate"),
    (re.compile(r"#!"), "a script"),
)
_JSON = re.compile(r"\s*[\[{]")
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_TEXT_BYTES = 4096
_SHOWN_LETTERS = 60


def foreign_format(start: bytes) -> str:
    """Return the name of a format that no disk begins with (archive, document), or empty if it is none."""
    return next((name for at, magic, name in FOREIGN if _has(start, at, magic)), "")


def detect_content(start: bytes, size_bytes: int | None) -> Content:
    """Return what an image looks like.

    Args:
        start: Its first `PROBE_BYTES` bytes, or all if it has fewer.
        size_bytes: The size of the whole image; None if not known.
    """
    if foreign := foreign_format(start):
        return Content(ContentKind.FOREIGN, f"a {foreign} file")
    for at, magic, name in WITH_BOOT_SECTOR:
        if _has(start, at, magic):
            return _lone(name)
    disks = [name for at, magic, name in DISKS if _has(start, at, magic)]
    if disks == [BOOT_SECTOR] and _is_fat(start):
        return Content(ContentKind.BOOT_VOLUME, _lone("FAT").words)
    if disks:
        return Content(ContentKind.DISK, disks[0])
    if text := _text(start, is_whole=size_bytes is None or size_bytes <= len(start)):
        return text
    return _unsigned(start, len(start) if size_bytes is None else size_bytes)


def detect_footer(end: bytes) -> Content | None:
    """Return what a file is by its last sector, or None if the sector does not tell."""
    return next((Content(kind, words) for magic, kind, words in _FOOTERS if end.startswith(magic)), None)


def _is_fat(start: bytes) -> bool:
    """Return True if a boot sector describes a FAT volume and has no partition table."""
    sector, cluster, reserved, fats = struct.unpack_from("<HBHB", start, 11)
    describes = sector in {512, 1024, 2048, 4096} and cluster.bit_count() == 1 and reserved and fats in {1, 2}
    entries = (
        struct.unpack_from("<B3xB3xLL", start, _PARTITIONS_AT + _PARTITION_BYTES * number)
        for number in range(4)
    )
    has_partition = any(
        status in {0, 0x80} and kind and begin and size for status, kind, begin, size in entries
    )
    return bool(describes) and start[0] in {0xEB, 0xE9} and not has_partition


def _unsigned(start: bytes, size_bytes: int) -> Content:
    """Return what an image without any sign of a disk looks like."""
    if size_bytes < SECTOR_BYTES:
        return Content(ContentKind.FOREIGN, f"a file of {size_bytes} bytes, less than one sector of a disk")
    for at, magic, name in FILE_SYSTEMS:
        if _has(start, at, magic):
            return _lone(name)
    if not any(start):
        return Content(ContentKind.UNKNOWN, f"nothing but zeros in its first {len(start)} bytes")
    return Content(
        ContentKind.UNKNOWN, "no known disk: it has no MBR, no GPT, no ISO 9660, no known boot sector"
    )


def _lone(name: str) -> Content:
    return Content(ContentKind.FILE_SYSTEM, f"a lone {name} volume, without a partition table")


def _has(start: bytes, at: int, magic: bytes) -> bool:
    return start[at : at + len(magic)] == magic


def _text(start: bytes, *, is_whole: bool) -> Content | None:
    """Return which kind of text it is, or None if it is no text."""
    text = _decoded(start[:_TEXT_BYTES])
    if not text:
        return None
    for pattern, words in _TEXTS:
        if pattern.match(text):
            return Content(ContentKind.FOREIGN, words)
    if _JSON.match(text) and (not is_whole or _is_json(start)):
        return Content(ContentKind.FOREIGN, "JSON")
    line = text.strip().split("\n", 1)[0].strip()
    return Content(ContentKind.TEXT, f"text, which begins {line[:_SHOWN_LETTERS]!r}")


def _decoded(start: bytes) -> str:
    """Return the bytes as text, or empty if they are no text, or blank."""
    if start[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        text = start.decode("utf-16", "replace")
        return text.removeprefix("\ufeff") if text.isprintable() or "<" in text or "\n" in text else ""
    if _CONTROLS.search(start):
        return ""
    try:
        text = start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(start) - 4:  # a letter that is cut at the end of what was looked at
            return start[: error.start].decode("utf-8-sig")
        return start.decode("latin-1") if re.match(rb"\s*[<{\[#]", start) else ""
    return text if text.strip() else ""


def _is_json(whole: bytes) -> bool:
    try:
        json.loads(whole)
    except (ValueError, RecursionError):
        return False
    return True


_PLAINLY_ANOTHER = "fetch the image again and look at what comes; whatever --force says, this is not written"
_TEXT_FILE = (
    "give an image: a text file is not written, whatever --force says; if it was downloaded, fetch it again"
)
_FILE_SYSTEM = (
    "give the image of the whole disk; where the DUT wants a volume without partitions: "
    "hil flash --file-system, or storage.flash(open_image(path))"
)
_BOOT_VOLUME = (
    "give the image of the whole disk; where the DUT boots from a volume without partitions: --force"
)
_UNKNOWN = "see whether it is the image that was meant; to write it all the same: --force"


def check_is_disk(image: Image, end: bytes = b"", *, force: bool, file_system: bool = False) -> None:
    """Check that an image looks like a disk, by its beginning and by the end of its file.

    Args:
        image: The image.
        end: The last sector of its file.
        force: Accept an image of unknown content; foreign content is never accepted.
        file_system: Accept a file system without a partition table.

    Raises:
        ImageError: The file is no disk image, or not known to be one; the message says what it looks like.
    """
    found = _content(image, end)
    if found.kind is ContentKind.FOREIGN:
        raise _refused(image, found.words, _PLAINLY_ANOTHER)
    if found.kind is ContentKind.TEXT:
        raise _refused(image, found.words, _TEXT_FILE)
    if found.kind is ContentKind.FILE_SYSTEM and not file_system:
        raise _refused(image, found.words, _FILE_SYSTEM)
    if found.kind is ContentKind.BOOT_VOLUME and not (file_system or force):
        raise _refused(image, found.words, _BOOT_VOLUME)
    if found.kind is ContentKind.UNKNOWN and not force:
        raise _refused(image, found.words, _UNKNOWN)
    if found.kind in {ContentKind.UNKNOWN, ContentKind.BOOT_VOLUME}:
        image.remarks.append(f"{image.label} is {found.words}")


def _content(image: Image, end: bytes) -> Content:
    """Return what an image looks like by its start, or by its end if that contradicts the start."""
    found, footer = detect_content(_start_of(image), image.size_bytes), detect_footer(end)
    if footer is not None and (footer.kind is ContentKind.FOREIGN or found.kind is ContentKind.DISK):
        return footer
    return found


def _start_of(image: Image) -> bytes:
    """Return the first bytes of the disk that an image describes; bytes that it does not store are zeros."""
    start = bytearray()
    with closing(image.extents()) as extents:
        for extent in extents:
            if extent.offset >= PROBE_BYTES:
                start = start.ljust(PROBE_BYTES, b"\0")
                break
            start = start.ljust(extent.offset, b"\0")
            start += bytes(min(extent.size_bytes, PROBE_BYTES)) if isinstance(extent, Hole) else extent.data
            if len(start) >= PROBE_BYTES:
                break
    return bytes(start[:PROBE_BYTES])


def _refused(image: Image, why: str, remedy: str) -> ImageError:
    return ImageError(f"{image.label} does not look like a disk image", why=f"it is {why}", remedy=remedy)
