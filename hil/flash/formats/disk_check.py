"""Refuse an image that does not look like a disk, before it is written to a stick."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from hil.errors import ImageError
from hil.flash.formats.content import PROBE_BYTES, Content, ContentKind, detect_content, detect_footer
from hil.flash.formats.image import Hole

if TYPE_CHECKING:
    from hil.flash.formats.image import Image

__all__ = ["check_is_disk"]

_PLAINLY_ANOTHER = "fetch the image again and look at what comes; whatever --force says, this is not written"
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
