"""The stick's device node on the host: named by the wiring, or found because it follows the mux.

Where the wiring does not name it, it is the one USB disk that appears when the mux is turned to the host.
Other boards of this host that look for theirs wait for each other meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.disks import size_bytes
from hil.dutlink.turn import Turn
from hil.dutlink.waiting import hold, until
from hil.errors import StickMissingError, StickStayedError
from hil.flash.sysfs import disks_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.dutlink.access import Access

__all__ = ["APPEARS_WITHIN_S", "GOES_WITHIN_S", "StickNode"]

APPEARS_WITHIN_S = 15.0
"""Seconds until the stick's node must be there after `host`; 3.4 to 3.7 were measured."""

GOES_WITHIN_S = 5.0
"""Seconds until it must be gone after `dut` or `off`; 0.1 to 0.5 were measured."""

_LEAVES_WITHIN_S = 1.0
_RIVAL_S = 0.3


class StickNode:
    """The node, and the turn to look for it.

    Args:
        serial: The board's serial number.
        dev: The host's device folder.
        sys: The folder where the host's kernel tells about disks.
        wired: The node's path, where the wiring names it.
        access: Permission to use the board.

    Attributes:
        before: The disks that were there when the stick was last about to come, by `BlockDevice.key`.
    """

    def __init__(self, serial: str, dev: Path, sys: Path, wired: Path | None, access: Access) -> None:
        self.before: frozenset[str] = frozenset()
        self._serial = serial
        self._sys = sys
        self._wired = wired
        self._access = access
        self._found: Path | None = None
        self._turn = Turn(dev, APPEARS_WITHIN_S + _LEAVES_WITHIN_S)

    @property
    def path(self) -> Path | None:
        """Where it is, if it is wired or was found already."""
        return self._wired or self._found

    @property
    def can_come_unseen(self) -> bool:
        """Whether nobody knows where it will be, or looks."""
        return self.path is None and self._turn.watch is None

    def expect(self, take_away: Callable[[], float]) -> None:
        """Be ready for it to come, and see to it that no other board's stick comes meanwhile.

        Args:
            take_away: Makes sure that the stick is not on the host, and returns for how many seconds it has
                not been there.

        Raises:
            StorageError: Another process has been looking for its stick for too long.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        if self.path is None:
            watch = self._turn.take()
            watch.wait_for_change(_LEAVES_WITHIN_S - take_away())
            watch.begin()
        elif not self.path.exists():
            self._turn.take()  # others, who look for theirs, must not see this one come
        self.before = frozenset(disk.key for disk in disks_of(self._sys))

    def wait(self, timeout_s: float) -> Path | None:
        """Wait until it is there and has a size; None when it does not come. The turn lasts meanwhile.

        Raises:
            StickAmbiguousError: Several disks appeared, so that none can be called the stick.
            LeaseEndedError: The board's lease has ended.
        """
        self._access.check()
        self._turn.keep()
        node = until(self._usable, timeout_s)
        if node is not None and self.path is None:
            hold(_RIVAL_S)
            node = self._usable()
        if self._wired is None:
            self._found = node
        return node

    def wait_until_gone(self, timeout_s: float, position: str) -> None:
        """Wait until it is gone; at once where it is not known: what was never seen cannot be missed.

        Args:
            timeout_s: How long, in seconds.
            position: To what the storage was turned, for the error.

        Raises:
            StickStayedError: It is still there.
        """
        node = self.path
        if node is None or until(lambda: not node.exists(), timeout_s):
            return
        self._found = None
        raise StickStayedError(
            f"{node} is still there {timeout_s:.1f} s after the storage was turned to {position}",
            why="it is not this board's stick, or the mux did not turn",
            remedy="see which disk follows the board: hil storage host, then off",
            serial=self._serial,
        )

    def end_turn(self) -> None:
        """Let others look for theirs; harmless when nobody waits."""
        self._turn.end()

    def missing(self, timeout_s: float) -> StickMissingError:
        """Return what there is to say when it did not come within `timeout_s` seconds."""
        return StickMissingError(
            f"board {self._serial}: no stick on the host {timeout_s:.1f} s after it was turned there",
            why=f"{self._wired} is not there" if self._wired else "no USB disk appeared",
            remedy="see whether a stick is plugged into the board, and lsblk",
            serial=self._serial,
        )

    def _usable(self) -> Path | None:
        """The node, once it has a size."""
        node = self.path
        if node is None and self._turn.watch is not None:
            node = self._turn.watch.only()
        return node if node is not None and size_bytes(node, self._sys) > 0 else None
