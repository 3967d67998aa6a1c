"""What an image is called by its content, so that two builds of one name and size are told apart.

Cells of nothing but zeros do not count: holes, unmapped ranges and written zeros are the same, and so are an
image and its archive. The history keeps these digests: another definition would make other images of all.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hil.flash.block_hashes import EMPTY

if TYPE_CHECKING:
    from hil.flash.block_hashes import CellDigests

__all__ = ["image_digest"]


def image_digest(cells: CellDigests, image_bytes: int) -> str:
    """Name an image.

    Args:
        cells: Of all that it has.
        image_bytes: Its size, holes included.

    Returns:
        SHA-256, hexadecimal, of number and SHA-256 of each cell that is not all zeros, and of the size.
    """
    digest = hashlib.sha256()
    for number, cell in cells.items():
        if cell != EMPTY:
            digest.update(b"%d %b\n" % (number, cell))
    digest.update(b"%d" % image_bytes)
    return digest.hexdigest()
