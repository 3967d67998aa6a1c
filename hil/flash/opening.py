"""Opens an image, whatever it is: its format is told by its bytes, its block map found beside it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.android_sparse import MAGIC, AndroidSparseImage
from hil.flash.bmap import read_bmap
from hil.flash.compression import FORMATS, compression_of, magic_cut_short
from hil.flash.mapped_image import MappedImage
from hil.flash.plain_image import CompressedImage, RawImage
from hil.flash.stream import opened, unreadable

if TYPE_CHECKING:
    import os

    from hil.flash.image import Image

__all__ = ["bmap_beside", "open_image"]

_TAR_AT = 257
_START_BYTES = 512
_STRANGERS = {
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b'\x04"M\x18': "LZ4",
    b"\x5d\x00\x00": "LZMA",  # with the sizes of dictionary that are in use
    b"LZIP\x01": "lzip",
    b"\x89LZO\x00": "lzop",
    b"\x1f\x9d": "compress",
    b"QFI\xfb": "QEMU qcow2",
    b"KDMV": "VMware VMDK",
    b"vhdxfile": "Hyper-V VHDX",
    b"conectix": "Virtual PC VHD",
    b"<<< ": "VirtualBox VDI",
    b"version https://git-lfs": "Git LFS pointer",
    b"<!DOCTYPE html": "HTML",
    b"<?xml": "XML",
}


def open_image(path: str | os.PathLike[str], bmap: str | os.PathLike[str] | bool = True) -> Image:
    """Open an image.

    Args:
        path: A raw disk image, gzip, bzip2, xz or zstd of one, or an Android sparse image, also compressed.
        bmap: Its block map; True: the one beside it, if there is one; False: none.

    Raises:
        ImageError: It is none of these, or damaged so that it shows at once; the rest shows when it is read.
    """
    image = Path(path)
    _check_file(image)
    found = bmap_beside(image) if bmap is True else Path(bmap) if bmap else None
    with opened(image) as stream:
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
    if found is not None:
        return MappedImage(image, read_bmap(found))
    return CompressedImage(image, compression) if compression is not None else RawImage(image)


def bmap_beside(image: Path) -> Path | None:
    """Find the block map of an image: its name, or that without one ending after another, and `.bmap`."""
    name = image.name
    while True:
        beside = image.with_name(f"{name}.bmap")
        if beside.is_file() and beside != image:
            return beside
        shorter = name.rpartition(".")[0]
        if not shorter or name.rpartition(".")[2].isdigit():
            return None
        name = shorter


def _check_file(image: Path) -> None:
    try:
        status = image.stat()
    except OSError as error:
        raise unreadable(str(image), error) from error
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
    """Refuse what is an archive of files or in another archive, or a virtual machine's disk.

    Its bytes would not boot. Nor would those of a download that broke off in its magic number.
    """
    kind = next((name for magic, name in _STRANGERS.items() if start.startswith(magic)), None)
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar":
        kind = "tar"
    inner = compression_of(start) if compressed else None
    if inner is not None:
        kind = inner.name
    if magic_cut_short(start):
        raise ImageError(
            f"{image.name} is truncated",
            why=f"it ends after {len(start)} bytes, in the first word of an archive",
            remedy="fetch or make it again: it is not whole",
        )
    if kind is not None:
        known = ", ".join(one.name for one in FORMATS)
        raise ImageError(
            f"{image.name} holds a {kind} file, which is no disk image",
            why=f"an image is raw, an Android sparse image, or one of both in {known}",
            remedy="unpack it, and give the image that is in it",
        )
