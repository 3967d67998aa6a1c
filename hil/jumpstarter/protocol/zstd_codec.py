"""zstd for pieces on the wire: each by itself, so that they may be sent or left out one by one.

Memory for a MiB comes from the kernel page by page, and goes back when it is freed: that takes ten times as
long as unpacking. glibc keeps what is freed for the next time, up to the size of the largest that ever was
(mallopt(3), M_MMAP_THRESHOLD: 32 MiB at most). So that much is freed once, untouched.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from hil.errors import ImageError

__all__ = ["compress", "decompress"]

_LEVEL = 1
"""The fastest: a lab's network is faster than any other level."""

_KEPT_BYTES = (32 << 20) - (1 << 16)
bytes(_KEPT_BYTES)


def _zstd() -> Any:  # noqa: ANN401 - a module
    """Part of Python from 3.14 on, a package before."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def compress(data: bytes | memoryview) -> bytes:
    """Compress a piece."""
    packed: bytes = _zstd().compress(data, level=_LEVEL)
    return packed


def decompress(packed: bytes, size_bytes: int) -> bytes:
    """The inverse of `compress`.

    Raises:
        ImageError: It is not that, or of another size.
    """
    zstd = _zstd()
    try:
        data: bytes = zstd.ZstdDecompressor().decompress(packed, max_length=size_bytes + 1)
    except zstd.ZstdError as error:
        raise _garbled(str(error)) from error
    if len(data) != size_bytes:
        raise _garbled(f"{len(data)} bytes instead of {size_bytes}")
    return data


def _garbled(why: str) -> ImageError:
    return ImageError("a piece of an image came garbled", why=why, remedy="flash it again")
