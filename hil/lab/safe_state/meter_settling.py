"""Wait until the meter can be believed: a reading is the mean of the last two seconds."""

from __future__ import annotations

import math
import time

from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import sleep
from hil.lab.locks.lease import lock_path
from hil.lab.locks.lock_dir import lock_folder

__all__ = ["last_used_s", "wait_until_settled"]


def last_used_s(serial: str) -> float:
    """Return when the board was last released, by the monotonic clock; minus infinity if it never was.

    Ask before the board is leased, because a lease counts as a use. The wall clock, which dates the lock
    file, may be set at any time: a use in the future counts as one just now, so that no wait is longer than
    `SETTLE_S`.

    Raises:
        UsageError: The lock folder cannot be used.
    """
    try:
        used_s = lock_path(lock_folder(), serial).stat().st_mtime
    except FileNotFoundError:
        return -math.inf
    return time.monotonic() - max(0.0, time.time() - used_s)


def wait_until_settled(used_s: float) -> None:
    """Wait until a reading shows what the DUT draws now.

    Args:
        used_s: When the board was last used; see `last_used_s`.
    """
    sleep(used_s + SETTLE_S - time.monotonic())
