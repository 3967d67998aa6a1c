"""Makes a range of an open disk zeros without writing them, where kernel and disk can.

By Linux' fallocate(2), which Python's `os` lacks. On a block device it asks the disk to do it by itself, and
fails where the kernel would have to write zeros instead (Linux: block/fops.c, blkdev_fallocate).
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any, Final

__all__ = ["punch_hole"]

_KEEP_SIZE: Final = 0x01
_PUNCH_HOLE: Final = 0x02
"""Linux: include/uapi/linux/falloc.h."""


def punch_hole(descriptor: int, offset: int, size_bytes: int) -> bool:
    """Make a range zeros; False where that is not to be had, and then it may hold anything."""
    fallocate = _fallocate()
    mode = _PUNCH_HOLE | _KEEP_SIZE
    return fallocate is not None and fallocate(descriptor, mode, offset, size_bytes) == 0


@functools.cache
def _fallocate() -> Any:  # noqa: ANN401 - a foreign function
    """Find the C library's function; None where there is none, as on other systems than Linux."""
    if os.uname().sysname != "Linux":
        return None
    try:
        found = ctypes.CDLL(None, use_errno=True).fallocate64
    except (OSError, AttributeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return found
