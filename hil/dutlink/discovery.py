"""Who is on the bus, and a fresh look at one board: is it there, may it be opened, does it answer?

Two delays of Linux are waited out here. A board that was unplugged is still listed for half a second, and
one that was just plugged in may not be opened until udev has been there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.candidate import Candidate, candidates, chip_boot_loader_seen
from hil.dutlink.sighting import Reached, Sighting, reach_candidate
from hil.dutlink.timing import Deadline, hold
from hil.errors import BoardAbsentError, BoardFaultError, UnavailableError, Verdict

if TYPE_CHECKING:
    from hil.dutlink.host import Host

__all__ = [
    "ANSWER_LIMIT_S",
    "GLANCE_S",
    "RECHECK_S",
    "Sighting",
    "list_boards",
    "look",
    "reach",
    "serials_on",
]

ANSWER_LIMIT_S = 30.0
"""Seconds that a board may be silent before it counts as lost: sequences of 15 to 20 s occur in real labs."""

GLANCE_S = 1.0
"""Seconds that a board gets when it is only one of several to be looked at."""

RECHECK_S = 1.0
"""Seconds for which a board that is leaving, or not yet allowed, is looked at again."""

_RECHECK_EVERY_S = 0.1
_USEFULNESS = (
    Verdict.PRESENT,
    Verdict.FAULTY,
    Verdict.DENIED,
    Verdict.BUSY,
    Verdict.LOST,
    Verdict.ABSENT,
    Verdict.NO_BACKEND,
)


def list_boards(host: Host, limit_s: float = GLANCE_S) -> list[Sighting]:
    """Look at every board on the host, giving each `limit_s` seconds to answer.

    A board in the middle of a power sequence answers nothing and is listed as lost; `look` waits for it.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
    """
    recheck = Deadline(RECHECK_S)
    while True:
        seen = [reach_candidate(candidate, limit_s) for candidate in candidates(host)]
        for reached in seen:
            reached.let_go()
        if recheck.passed or not any(reached.leaving for reached in seen):
            return [reached.sighting for reached in seen]
        hold(_RECHECK_EVERY_S)


def serials_on(host: Host) -> list[str]:
    """Return the serial numbers of the boards on a host, each once; raises as `list_boards` does."""
    return list({one.serial: None for one in list_boards(host) if one.serial})


def look(host: Host, serial: str | None = None, limit_s: float = ANSWER_LIMIT_S) -> Sighting:
    """Look at one board, afresh.

    Args:
        host: Where to look.
        serial: Which board; None takes the first that can be used.
        limit_s: How long it may stay silent: it may be working through a power sequence.

    Returns:
        What was found. A board or a backend that cannot be used is a finding, not an exception.
    """
    reached = reach(host, serial, limit_s)
    reached.let_go()
    return reached.sighting


def reach(host: Host, serial: str | None = None, limit_s: float = ANSWER_LIMIT_S) -> Reached:
    """Do what `look` does, and keep the link to a board that is present."""
    recheck = Deadline(RECHECK_S)
    while True:
        try:
            reached = _survey(host, serial, limit_s)
        except UnavailableError as error:  # no backend; or the bus is another machine's, which is lost
            return Reached(Sighting(error.verdict, serial, error=error))
        except BoardFaultError as error:
            reached = Reached.failed(error, serial)
        may_change = reached.leaving or reached.sighting.verdict is Verdict.DENIED
        if recheck.passed or not may_change:
            return reached
        hold(_RECHECK_EVERY_S)


def _survey(host: Host, serial: str | None, limit_s: float) -> Reached:
    """Look at the candidates until the wanted board is found.

    With several on the bus each is given a glance first: one that is busy with another process's sequence
    must not hold up the way to its neighbour. Only then are the silent ones waited for.
    """
    found = candidates(host)
    if len(found) > 1 and limit_s > GLANCE_S:
        reached, silent = _first_usable(found, serial, GLANCE_S)
        if not silent:
            return reached or _absent(host, serial)
        if reached is not None and reached.link is not None:
            return reached
    reached, _ = _first_usable(found, serial, limit_s)
    return reached or _absent(host, serial)


def _first_usable(found: list[Candidate], serial: str | None, limit_s: float) -> tuple[Reached | None, bool]:
    """Return the wanted board, or the best of those that may be it; and whether one of these was silent."""
    seen = []
    for candidate in found:
        reached = reach_candidate(candidate, limit_s)
        if serial is not None and reached.sighting.serial not in (serial, None):
            reached.let_go()
        elif reached.link is not None:
            return reached, False
        else:
            seen.append(reached)
    best = min(seen, key=lambda reached: _USEFULNESS.index(reached.sighting.verdict), default=None)
    return best, any(reached.silent for reached in seen)


def _absent(host: Host, serial: str | None) -> Reached:
    others = candidates(host) if serial is not None else []
    remedy = host.remedy_for_absent
    why = "nothing with its USB ids is on the bus"
    if others:
        named = ", ".join(one.listed_serial for one in others if one.listed_serial)
        why = f"only other boards are on the bus{f': {named}' if named else ''}"
    elif chip_boot_loader_seen(host):
        why = "but an STM32 in its factory boot loader (0483:df11) is: perhaps a board without firmware"
    error = BoardAbsentError(
        f"no {f'board {serial}' if serial else 'DUTLink board'} is there ({host.label})",
        why=why,
        remedy=remedy,
        serial=serial,
    )
    return Reached(Sighting(error.verdict, serial, error=error))
