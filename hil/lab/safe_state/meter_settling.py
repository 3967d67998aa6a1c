"""Wait until the meter can be believed: a reading is the mean of the last two seconds."""

from __future__ import annotations

import time

from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import sleep

__all__ = ["wait_until_settled"]


def wait_until_settled(used_s: float) -> None:
    """Wait until a reading shows what the DUT draws now.

    Args:
        used_s: When the board was last used; see `hil.lab.locks.lease.last_used_s`.
    """
    sleep(used_s + SETTLE_S - time.monotonic())
