"""Tell by the first bytes of an image whether it is a disk, a lone file system, something else, or unknown.

Sources: the formats' own documents, and the magic numbers of file(1).
"""

from __future__ import annotations

import enum
import json
import re
import struct
from dataclasses import dataclass

__all__ = [
    "PROBE_BYTES",
    "SECTOR_BYTES",
    "Content",
    "ContentKind",
    "detect_content",
    "detect_footer",
    "foreign_format",
]

SECTOR_BYTES = 512
PROBE_BYTES = 68 * 1024
"""As far as the farthest magic number, that of Btrfs."""


class ContentKind(enum.Enum):
    """What an image may be; a boot volume is a lone file system from which some firmware boots."""

    DISK = enum.auto()
    FILE_SYSTEM = enum.auto()
    BOOT_VOLUME = enum.auto()
    STRANGER = enum.auto()
    UNKNOWN = enum.auto()


@dataclass(frozen=True, slots=True)
class Content:
    """What an image looks like.

    Attributes:
        kind: What it may be.
        words: What it looks like, for a message: `a web page`.
    """

    kind: ContentKind
    words: str


_STRANGERS = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (0, b"Rar!", "RAR"),
    (0, b"\x02\x21\x4c\x18", "legacy LZ4 (lz4 -l)"),
    (0, b"\x5d\x00\x00", "LZMA"),  # with the sizes of dictionary that are in use
    (0, b"LZIP\x01", "lzip"),
    (0, b"\x89LZO\x00", "lzop"),
    (0, b"\x1f\x8b", "gzip of an unknown method"),
    (0, b"\x1f\x9d", "compress"),
    (0, b"\x1f\xa0", "LZH"),
    (0, b"MSCF", "cabinet"),
    (0, b"MSWIM\0\0\0", "WIM"),
    (0, b"xar!", "xar"),
    (0, b"QFI\xfb", "QEMU qcow2"),
    (0, b"QED\0", "QEMU QED"),
    (0, b"KDMV", "VMware VMDK"),
    (0, b"COWD", "VMware VMDK"),
    (0, b"vhdxfile", "Hyper-V VHDX"),
    (0, b"conectix", "Virtual PC VHD"),
    (0, b"<<< ", "VirtualBox VDI"),
    (0, b"WithoutFreeSpace", "Parallels HDD"),
    (0, b"WithouFreSpacExt", "Parallels HDD"),
    (0, b"partclone-image", "partclone"),
    (0, b"\x7fELF", "ELF"),
    (0, b"%PDF-", "PDF"),
    (0, b"\x89PNG\r\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (0, b"!<arch>\n", "ar or Debian package"),
    (0, b"\xed\xab\xee\xdb", "RPM package"),
    (0, b"SQLite format 3\0", "SQLite"),
    (0, b"# Disk DescriptorFile", "VMDK descriptor (it only names a disk's files)"),
    (0, b"\xc7\x71", "cpio"),
    (0, b"\x71\xc7", "cpio"),
    (0, b"070701", "cpio"),
    (0, b"070702", "cpio"),
    (0, b"070707", "cpio"),
    (0, b"ANDROID!", "Android boot image"),
    (0, b"VNDRBOOT", "Android boot image"),
    (0, b"CrAU", "Android payload.bin"),
    (0, b"\x27\x05\x19\x56", "U-Boot legacy uImage"),
    (0, b"\xd0\x0d\xfe\xed", "device tree or FIT"),
    (0, b"UBI#", "UBI image, which is for raw flash,"),
    (0, b"\x31\x18\x10\x06", "UBIFS image, which is for raw flash,"),
    (0, b"\x85\x19\x03\x20", "JFFS2 image, which is for raw flash,"),
    (0, b"\x85\x19\x01\xe0", "JFFS2 image, which is for raw flash,"),
    (0, b"\x85\x19\x02\xe0", "JFFS2 image, which is for raw flash,"),
    (0, b"EVF\x09", "EnCase (EWF)"),
    (0, b"Bochs Virtual HD Image", "Bochs disk"),
    (0, "imageUSB".encode("utf-16-le"), "ImageUSB"),
    (4, b"SignedImage ", "Windows FFU"),
    (0, b"IMAGEWTY", "Allwinner update"),
    (0, b"RKFW", "Rockchip update"),
    (0, b"RKAF", "Rockchip update"),
    (0, b"UF2\nWQ]\x9e", "UF2"),
    (0, b"AVB0", "Android vbmeta"),
    (0, b"\xd7\xb7\xab\x1e", "Android dtbo"),
    (0, b"version https://git-lfs", "Git LFS pointer"),
    (0, b"<!DOCTYPE html", "HTML"),
    (0, b"<?xml", "XML"),
    (257, b"ustar", "tar"),
    (0x202, b"HdrS", "Linux kernel"),
    (0x24, b"\x18\x28\x6f\x01", "Linux kernel (zImage)"),
    (0x38, b"ARM\x64", "Linux kernel (Image)"),
    (0x38, b"RSC\x05", "Linux kernel (Image)"),
)
"""Offset, bytes and name of what is found in files that are not disks."""

_BOOT_SECTOR = "MBR or boot sector"
_PARTITIONS_AT, _PARTITION_BYTES = 446, 16

_DISKS = (
    (510, b"\x55\xaa", _BOOT_SECTOR),
    (512, b"EFI PART", "GPT"),
    (4096, b"EFI PART", "GPT in sectors of 4 KiB"),
    (32769, b"CD001", "ISO 9660"),
    (512, b"PM\0\0", "Apple partition map"),
    (0, b"RDSK", "Amiga partition table"),
    (508, b"\xda\xbe", "Sun disk label"),
    (0, b"\x0b\xe5\xa9\x41", "SGI disk label"),
    (512, b"WEV\x82", "BSD disk label"),
    (8196, b"eGON.BT0", "boot loader of an Allwinner chip"),
    (131076, b"eGON.BT0", "boot loader of an Allwinner chip"),
    (1024, b"\xd1\x00\x20\x40", "boot loader of an i.MX chip"),
    (1024, b"\xd1\x00\x20\x41", "boot loader of an i.MX chip"),
    (32768, b"\x3b\x8c\xdc\xfc", "boot loader of a Rockchip chip"),
    (32768, b"RKNS", "boot loader of a Rockchip chip"),
)

_WITH_BOOT_SECTOR = (
    (3, b"NTFS    ", "NTFS"),
    (3, b"EXFAT   ", "exFAT"),
)
"""File systems that begin as a disk does."""

_FILE_SYSTEMS = (
    (32769, b"BEA01", "UDF"),
    (1080, b"\x53\xef", "ext2, ext3 or ext4"),
    (0, b"hsqs", "SquashFS"),
    (0, b"sqsh", "SquashFS"),
    (0, b"XFSB", "XFS"),
    (65600, b"_BHRfS_M", "Btrfs"),
    (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (0, b"\x45\x3d\xcd\x28", "cramfs"),
    (0, b"-rom1fs-", "romfs"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (512, b"LABELONE", "LVM"),
    (4096, b"\xfc\x4e\x2b\xa9", "RAID"),
    (4086, b"SWAPSPACE2", "swap"),
    (52, b"ReIsEr", "ReiserFS"),
    (65588, b"ReIsEr", "ReiserFS"),
    (32768, b"JFS1", "JFS"),
    (1030, b"\x34\x34", "NILFS2"),
    (1024, b"H+\0\x04", "HFS+"),
    (1024, b"HX\0\x05", "HFS+"),
    (32, b"NXSB", "APFS"),
    (4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "bcachefs"),
    (4096, b"gDla", "Android dynamic partition (super)"),
)

_FOOTERS = (
    (
        b"conectix",
        ContentKind.UNKNOWN,
        "a fixed VHD, 512 bytes more than its disk (qemu-img convert -f vpc -O raw)",
    ),
    (b"koly", ContentKind.STRANGER, "an Apple disk image (DMG)"),
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
    return next((name for at, magic, name in _STRANGERS if _has(start, at, magic)), "")


def detect_content(start: bytes, size_bytes: int | None) -> Content:
    """Return what an image looks like.

    Args:
        start: Its first `PROBE_BYTES` bytes, or all if it has fewer.
        size_bytes: The size of the whole image; None: not known.
    """
    if stranger := foreign_format(start):
        return Content(ContentKind.STRANGER, f"a {stranger} file")
    for at, magic, name in _WITH_BOOT_SECTOR:
        if _has(start, at, magic):
            return _lone(name)
    disks = [name for at, magic, name in _DISKS if _has(start, at, magic)]
    if disks == [_BOOT_SECTOR] and _is_fat(start):
        return Content(ContentKind.BOOT_VOLUME, _lone("FAT").words)
    if disks:
        return Content(ContentKind.DISK, disks[0])
    if words := _text(start, is_whole=size_bytes is None or size_bytes <= len(start)):
        return Content(ContentKind.STRANGER, words)
    return _unsigned(start, len(start) if size_bytes is None else size_bytes)


def detect_footer(end: bytes) -> Content | None:
    """Return what the last sector of a file says that it is, or None if it says nothing."""
    return next((Content(kind, words) for magic, kind, words in _FOOTERS if end.startswith(magic)), None)


def _is_fat(start: bytes) -> bool:
    """Return True if a boot sector describes a FAT volume, and has no partition table."""
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
        return Content(ContentKind.STRANGER, f"a file of {size_bytes} bytes, less than one sector of a disk")
    for at, magic, name in _FILE_SYSTEMS:
        if _has(start, at, magic):
            return _lone(name)
    if not any(start):
        return Content(ContentKind.UNKNOWN, f"nothing but zeros in its first {len(start)} bytes")
    return Content(
        ContentKind.UNKNOWN, "no disk that is known: it has no MBR, no GPT, no ISO 9660, no known boot sector"
    )


def _lone(name: str) -> Content:
    return Content(ContentKind.FILE_SYSTEM, f"a lone {name} volume, without a partition table")


def _has(start: bytes, at: int, magic: bytes) -> bool:
    return start[at : at + len(magic)] == magic


def _text(start: bytes, *, is_whole: bool) -> str:
    """Return which kind of text it is, or empty if it is no text."""
    text = _decoded(start[:_TEXT_BYTES])
    if not text:
        return ""
    for pattern, words in _TEXTS:
        if pattern.match(text):
            return words
    if _JSON.match(text) and (not is_whole or _is_json(start)):
        return "JSON"
    line = text.strip().split("\n", 1)[0].strip()
    return f"text, which begins {line[:_SHOWN_LETTERS]!r}"


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
