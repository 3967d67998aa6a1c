"""zstd compression of image chunks. Each chunk is compressed alone, so that a run can leave chunks out.

On import this module allocates and frees 32 MiB once. By default glibc maps a block of 1 MiB page by page and
unmaps it when freed, which takes ten times as long as decompressing it; freeing a larger block raises the
size up to which glibc reuses memory (mallopt(3), M_MMAP_THRESHOLD: 32 MiB at most).
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from hil.errors import ImageError

__all__ = ["compress", "decompress"]

_LEVEL = 1
"""The fastest level: a lab's network is faster than any other."""

_REUSED_BYTES = (32 << 20) - (1 << 16)
bytes(_REUSED_BYTES)


def _zstd() -> Any:  # noqa: ANN401 - a module
    """Import zstd: part of Python from 3.14 on, a package before."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def compress(data: bytes | memoryview) -> bytes:
    """Compress a chunk."""
    compressed: bytes = _zstd().compress(data, level=_LEVEL)
    return compressed


def decompress(compressed: bytes, size_bytes: int) -> bytes:
    """Decompress a chunk of `size_bytes`.

    Raises:
        ImageError: The bytes are not zstd, or make a chunk of another size.
    """
    zstd = _zstd()
    try:
        data: bytes = zstd.ZstdDecompressor().decompress(compressed, max_length=size_bytes + 1)
    except zstd.ZstdError as error:
        raise _garbled(str(error)) from error
    if len(data) != size_bytes:
        raise _garbled(f"{len(data)} bytes instead of {size_bytes}")
    return data


def _garbled(why: str) -> ImageError:
    return ImageError("a chunk of the image arrived damaged", why=why, remedy="flash it again")
