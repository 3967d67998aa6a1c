"""Open an image: detect its format by its content, and find the block map beside it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.formats.android_sparse import MAGIC, AndroidSparseImage
from hil.flash.formats.bmap import read_bmap
from hil.flash.formats.bmap_image import MappedImage
from hil.flash.formats.compression import FORMATS, detect_compression, is_truncated_magic
from hil.flash.formats.content import SECTOR_BYTES, check_is_disk, foreign_format
from hil.flash.formats.raw import CompressedImage, RawImage
from hil.flash.formats.stream import ImageFile, open_stream, unreadable_error

if TYPE_CHECKING:
    from hil.flash.formats.image import Image
    from hil.flash.progress import Progress

__all__ = ["find_bmap", "open_disk_image", "open_image"]

_START_BYTES = 1024
_PACKED = re.compile(r"\.(gz|gzip|bz2|xz|zst|zstd|lz4)$", re.IGNORECASE)
_DISK = re.compile(r"\.(img|raw|wic|bin|iso|hddimg|sdimg|rpi-sdimg|sdcard|direct|disk|dd)$", re.IGNORECASE)


def open_disk_image(
    path: str | os.PathLike[str],
    bmap: str | os.PathLike[str] | bool = True,
    *,
    force: bool = False,
    file_system: bool = False,
    progress: Progress | None = None,
) -> Image:
    """Open an image as `open_image` does, and refuse it if it does not look like a disk.

    Args:
        path: As `open_image`.
        bmap: As `open_image`; a map that was found beside the image is verified to be the image's own.
        force: Accept an image of unknown content; foreign content is never accepted.
        file_system: Accept a file system without a partition table.
        progress: Receives the progress of verifying a block map.

    Raises:
        ImageError: As `open_image`; or it is no disk image; or its block map is another image's.
    """
    image = open_image(path, bmap)
    image.check(progress)
    check_is_disk(image, _last_sector(Path(path)), force=force, file_system=file_system)
    return image


def _last_sector(path: Path) -> bytes:
    """Return the last bytes of a file, by which some formats are recognized."""
    with ImageFile(path).open() as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - SECTOR_BYTES))
        return file.read(SECTOR_BYTES)


def open_image(path: str | os.PathLike[str], bmap: str | os.PathLike[str] | bool = True) -> Image:
    """Open an image.

    Args:
        path: A raw disk image or an Android sparse image; plain, or in gzip, bzip2, xz, zstd or LZ4.
        bmap: Path of its block map; True for the one beside it, if that has checksums; False for none.

    Raises:
        ImageError: The file has none of these formats, or its beginning is damaged. Other damage is found
            when the image is read.
    """
    image = Path(path)
    _check_file(image)
    found = find_bmap(image) if bmap is True else Path(bmap) if bmap else None
    is_found = bmap is True
    with open_stream(image) as stream:
        start = stream.peek(_START_BYTES)
        compression = stream.compression
    if start.startswith(MAGIC):
        if found is not None:
            raise ImageError(
                f"{image.name} is an Android sparse image, and {found.name} a block map",
                why="each says which blocks matter; a block map is for a raw image",
                remedy="leave the map out with --no-bmap, or unpack the image with simg2img",
            )
        return AndroidSparseImage(image)
    _check_start(image, start, compressed=compression is not None)
    blocks = read_bmap(found) if found is not None else None
    if blocks is not None and found is not None and (blocks.has_all_checksums or not is_found):
        return MappedImage(image, blocks, found.name, is_found=is_found)
    whole = CompressedImage(image, compression) if compression is not None else RawImage(image)
    if found is not None:
        whole.remarks.append(
            f"the block map {found.name} beside {image.name} was not used: without checksums it cannot "
            f"be verified to be the image's own; --bmap {found.name} uses it"
        )
    return whole


def find_bmap(image: Path) -> Path | None:
    """Return the block map beside an image, or None if there is none.

    For `os.img.xz` it is `os.img.xz.bmap`, `os.img.bmap` or `os.bmap`. Only the suffixes of
    compressed files and of disk images are removed: `os.bmap` is not the map of `os.custom.img`.
    """
    unpacked = _PACKED.sub("", image.name)
    for name in dict.fromkeys((image.name, unpacked, _DISK.sub("", unpacked))):
        beside = image.with_name(f"{name}.bmap")
        if beside.is_file() and beside != image:
            return beside
    return None


def _check_file(image: Path) -> None:
    try:
        status = image.stat()
    except OSError as error:
        raise unreadable_error(str(image), error) from None
    except ValueError as error:
        why, remedy = str(error), "give the path of an image file"
        raise ImageError(f"{str(image)!r} is no path", why=why, remedy=remedy) from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(
            f"{image} is no image file",
            why="it is a folder" if stat.S_ISDIR(status.st_mode) else "it is a device, a pipe or a socket",
            remedy="give the path of an image file",
        )
    if status.st_size == 0:
        raise ImageError(f"{image} is empty", why="it has 0 bytes", remedy="fetch or make it again")


def _check_start(image: Path, start: bytes, *, compressed: bool) -> None:
    """Refuse an archive of files, an archive in an archive, and a virtual machine's disk: none would boot.

    Refuse a download that ends within its magic number, too.
    """
    inner = detect_compression(start) if compressed else None
    kind = inner.name if inner is not None else foreign_format(start)
    if is_truncated_magic(start):
        raise ImageError(
            f"{image.name} is truncated",
            why=f"it ends after {len(start)} bytes, in the first word of an archive",
            remedy="fetch or make it again: it is not whole",
        )
    if kind:
        known = ", ".join(one.name for one in FORMATS)
        raise ImageError(
            f"{image.name} holds a {kind} file, which is no disk image",
            why=f"an image is raw, an Android sparse image, or one of both in {known}",
            remedy="unpack it, and give the image that is in it",
        )
