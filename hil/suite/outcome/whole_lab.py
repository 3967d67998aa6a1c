"""`--hil-whole-lab`: which boards of the lab file took no part in a run, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import BoardBusyError, UnavailableError, Verdict
from hil.lab.locks.acquire import acquire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hil.dutlink.discovery import ProbeResult
    from hil.dutlink.host import Host
    from hil.lab.config.lab import Lab

__all__ = ["boards_without_part"]


def boards_without_part(
    lab: Lab, used: Collection[str], look_for: Callable[[str], ProbeResult], host: Host | None = None
) -> list[str]:
    """Return a line for each place whose board ran no test and could not have run one.

    A board that nobody holds and that answers now had no test left to run; that is no fault.

    Args:
        lab: What the lab file says.
        used: Serial numbers of the boards that ran tests.
        look_for: Takes a fresh look at a board.
        host: Where the boards are plugged in; None: on other machines.
    """
    found = []
    for name, place in lab.places.items():
        why = "" if place.serial in used else _trouble(place.serial, look_for, host)
        if why:
            found.append(f"place {name}, board {place.serial}: {why}")
    return found


def _trouble(serial: str, look_for: Callable[[str], ProbeResult], host: Host | None) -> str:
    """Say why a board cannot be used; empty if it can."""
    try:
        with acquire(serial, wait_s=0.0, test="is it there?", host=host):
            result = look_for(serial)
    except BoardBusyError as error:
        return f"{error.what}: {error.why}"
    except UnavailableError as error:
        return error.what
    if result.verdict is Verdict.PRESENT:
        return ""
    return result.error.what if result.error else str(result.verdict)
