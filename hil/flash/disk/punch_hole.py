"""Zero a range of an open disk without writing, if kernel and disk can.

It calls Linux' fallocate(2), which Python's `os` lacks. On a block device that asks the disk to zero the
range, and fails if the kernel would have to write the zeros (Linux: block/fops.c, blkdev_fallocate).
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
    """Zero a range; return False if that is not possible, and then the range may hold anything."""
    fallocate = _fallocate()
    mode = _PUNCH_HOLE | _KEEP_SIZE
    return fallocate is not None and fallocate(descriptor, mode, offset, size_bytes) == 0


@functools.cache
def _fallocate() -> Any:  # noqa: ANN401 - a foreign function
    """Return the C library's function, or None if there is none, as on systems other than Linux."""
    if os.uname().sysname != "Linux":
        return None
    try:
        found = ctypes.CDLL(None, use_errno=True).fallocate64
    except (OSError, AttributeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return found
