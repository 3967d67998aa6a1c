"""Brings an image to a board's stick and proves it, or a stick's bytes to a file."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hil.errors import FlashError, HilError, ImageError
from hil.flash.opening import open_image
from hil.flash.outcome import Flashed, ReadBack
from hil.flash.sparse_file import SparseFile

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.storage import Storage
    from hil.flash.image import Image
    from hil.flash.progress import Progress

__all__ = ["flash", "read"]

_PIECE_BYTES = 4 << 20


def flash(storage: Storage, image: Image, progress: Progress, *, force: bool) -> Flashed:  # noqa: ARG001
    """Flash; see `Storage.flash`."""
    try:
        node = _enumerate(storage)
        began = time.monotonic()
        mapped = 0
        with node.open("r+b", buffering=0) as disk:
            size = disk.seek(0, os.SEEK_END)
            if image.size_bytes is not None and image.size_bytes > size:
                raise ImageError(f"{image.label} is larger than the stick", why=f"the stick has {size} bytes")
            progress.begin("write", image.mapped_bytes)
            for extent in image.extents():
                os.pwrite(disk.fileno(), extent.data, extent.offset)
                progress.advance(len(extent.data))
                mapped += len(extent.data)
            os.fsync(disk.fileno())
            progress.end()
        write_s = time.monotonic() - began
        node = _enumerate(storage)
        began = time.monotonic()
        with node.open("rb", buffering=0) as disk:
            progress.begin("verify", mapped)
            for extent in image.extents():
                if os.pread(disk.fileno(), len(extent.data), extent.offset) != extent.data:
                    raise FlashError(f"{image.label} is not on the stick as it should be")
                progress.advance(len(extent.data))
            progress.end()
        verify_s = time.monotonic() - began
    finally:
        with suppress(HilError):
            storage.off()
    return Flashed(image.label, image.size_bytes or 0, mapped, mapped, node, 0.0, write_s, verify_s)


def read(storage: Storage, path: Path, size_bytes: int | None, progress: Progress) -> ReadBack:
    """Read; see `Storage.read`."""
    try:
        node = _enumerate(storage)
        began = time.monotonic()
        with node.open("rb", buffering=0) as disk, SparseFile(path) as file:
            size = disk.seek(0, os.SEEK_END) if size_bytes is None else size_bytes
            progress.begin("read", size)
            for at in range(0, size, _PIECE_BYTES):
                data = os.pread(disk.fileno(), min(_PIECE_BYTES, size - at), at)
                file.write(data)
                progress.advance(len(data))
            progress.end()
    finally:
        with suppress(HilError):
            storage.off()
    return ReadBack(path, size, node, time.monotonic() - began)


def _enumerate(storage: Storage) -> Path:
    storage.off()
    storage.wait_until_gone()
    storage.host()
    return storage.wait_for_node()


def opened_image(image: str | os.PathLike[str] | Image, bmap: str | os.PathLike[str] | bool) -> Image:
    """Open an image that is given by its path."""
    return open_image(image, bmap) if isinstance(image, str | os.PathLike) else image
