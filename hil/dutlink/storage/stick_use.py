"""Decide whether a mux may be turned away from the host: the question of every way to turn it by choice.

`Storage` asks it in the one method that turns the mux, just before the request, so that no way passes it by.
Where it is not known for certain which disk is the stick, each disk that may be it counts.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from hil.dutlink.timing import until
from hil.errors import StickInUseError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Leave", "Use", "taken_from"]

_PASSES_WITHIN_S = 1.5
"""Seconds that a desktop's short look at a disk may take before it counts as a use."""


class Leave(enum.Enum):
    """On which ground the mux is turned away from the host."""

    UNUSED = "nothing uses the stick"
    FORCED = "the caller takes it from its users"
    OURS = "this process holds it open and locked until the mux has turned"

    @classmethod
    def of(cls, *, force: bool) -> Leave:
        """Return the ground of a caller that forces it, or does not."""
        return cls.FORCED if force else cls.UNUSED


class Use(NamedTuple):
    """A use of a disk on this host.

    Attributes:
        why: What uses it.
        is_certain: Whether the disk is the stick; else it may be it.
    """

    why: str
    is_certain: bool


def taken_from(serial: str, leave: Leave, look: Callable[[], Use | None]) -> str:
    """Return what the stick is taken from; empty: nothing that is seen.

    Args:
        serial: The board.
        leave: On which ground it is taken.
        look: Finds a use of the stick, or of a disk that may be it.

    Raises:
        StickInUseError: It is in use, and that is not overridden.
    """
    if leave is Leave.OURS:
        return ""
    try:
        use = look()
        if use is not None and leave is Leave.UNUSED:
            until(lambda: look() is None, _PASSES_WITHIN_S)
            use = look()
    except OSError as error:
        if leave is Leave.FORCED:  # a kernel that does not tell must not keep a board from being made safe
            return ""
        raise _in_use(serial, Use(f"what uses it cannot be seen: {error}", is_certain=False)) from error
    if use is None:
        return ""
    if leave is Leave.UNUSED:
        raise _in_use(serial, use)
    return use.why if use.is_certain else f"{use.why}, and that disk may be the stick"


def _in_use(serial: str, use: Use) -> StickInUseError:
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
