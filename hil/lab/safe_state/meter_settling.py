"""When the meter can be believed: it is an average, and late by two seconds after somebody used the board."""

from __future__ import annotations

import math
import time

from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import sleep
from hil.lab.locks.lease import lock_path
from hil.lab.locks.lock_dir import lock_folder

__all__ = ["last_used_s", "wait_until_settled"]


def last_used_s(serial: str) -> float:
    """Return when the board was last given back, by the monotonic clock; minus infinity if it never was.

    Ask before the board is leased: that counts as a use. The wall clock, which dates the file, may be set at
    any time: a use in the future is one of just now, so that no wait is longer than `SETTLE_S`.

    Raises:
        UsageError: The lock folder cannot be used.
    """
    try:
        used_s = lock_path(lock_folder(), serial).stat().st_mtime
    except FileNotFoundError:
        return -math.inf
    return time.monotonic() - max(0.0, time.time() - used_s)


def wait_until_settled(used_s: float) -> None:
    """Wait until a reading tells what the DUT draws, for a board that was last used then."""
    sleep(used_s + SETTLE_S - time.monotonic())
