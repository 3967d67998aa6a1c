"""When the meter can be believed: it is an average, and late by two seconds after somebody used the board."""

from __future__ import annotations

import time

from hil.dutlink.reading import SETTLE_S
from hil.dutlink.waiting import hold as let_pass
from hil.lab.lease import lock_path
from hil.lab.shared_folder import lock_folder

__all__ = ["last_used_s", "wait_until_settled"]


def last_used_s(serial: str) -> float:
    """Return when somebody last gave the board back, in seconds since 1970; 0 if nobody ever had it.

    Ask before the board is leased: that counts as a use.

    Raises:
        UsageError: The lock folder cannot be used.
    """
    try:
        return min(lock_path(lock_folder(), serial).stat().st_mtime, time.time())
    except FileNotFoundError:
        return 0.0


def wait_until_settled(used_s: float) -> None:
    """Wait until a reading tells what the DUT draws, for a board that was last used then."""
    let_pass(used_s + SETTLE_S - time.time())
