"""Decide whether the stick may be detached from the host, depending on the programs that use it.

`StickMux.set_position` calls this just before each request. While it is uncertain which disk is the stick,
each disk that may be the stick counts.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from hil.dutlink.timing import until
from hil.errors import StickInUseError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DetachReason", "DiskUse", "check_detach"]

_PASSES_WITHIN_S = 1.5
"""Seconds that a desktop's short look at a disk may take before it counts as a use."""


class DetachReason(enum.Enum):
    """Why the stick may be detached from the host."""

    UNUSED = "no program uses the stick"
    FORCED = "the caller takes it from the programs that use it"
    OURS = "this process holds it open and locked until the mux has turned"

    @classmethod
    def of(cls, *, force: bool) -> DetachReason:
        """Return FORCED or UNUSED."""
        return cls.FORCED if force else cls.UNUSED


class DiskUse(NamedTuple):
    """A use of a disk on this host.

    Attributes:
        why: What uses it.
        is_certain: Whether the disk is certainly the stick.
    """

    why: str
    is_certain: bool


def check_detach(serial: str, reason: DetachReason, find_use: Callable[[], DiskUse | None]) -> str:
    """Return what uses the stick that is about to be detached; empty if nothing is seen.

    Args:
        serial: The board's serial number.
        reason: Why it may be detached.
        find_use: Returns a use of the stick, or of a disk that may be it, or None.

    Raises:
        StickInUseError: The stick is in use, and `reason` does not allow to detach it.
    """
    if reason is DetachReason.OURS:
        return ""
    try:
        use = find_use()
        if use is not None and reason is DetachReason.UNUSED:
            until(lambda: find_use() is None, _PASSES_WITHIN_S)
            use = find_use()
    except OSError as error:
        if reason is DetachReason.FORCED:  # also if the kernel does not tell: the board must be made safe
            return ""
        raise _in_use(serial, DiskUse(f"what uses it cannot be seen: {error}", is_certain=False)) from error
    if use is None:
        return ""
    if reason is DetachReason.UNUSED:
        raise _in_use(serial, use)
    return use.why if use.is_certain else f"{use.why}, and that disk may be the stick"


def _in_use(serial: str, use: DiskUse) -> StickInUseError:
    if use.is_certain:
        return StickInUseError(
            f"board {serial}: the stick is in use on this host and was not taken away",
            why=use.why,
            remedy="end that first (umount, fuser -v), or take it away all the same: "
            f"hil storage off --force --board {serial} (force=True in Python)",
            serial=serial,
        )
    return StickInUseError(
        f"board {serial}: a disk that may be the stick is in use on this host, so the mux was not turned",
        why=f"{use.why}; the stick is not known here yet, or not at its socket now, so each "
        "removable USB disk may be it",
        remedy="end that first (umount, fuser -v); or, if that disk is not this board's stick: "
        f"hil storage learn --force --board {serial}, after which that disk does not count any more "
        "(storage.learn(force=True) in Python)",
        serial=serial,
    )
