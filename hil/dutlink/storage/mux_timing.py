"""The times of a mux: how soon a disk leaves after *off* and comes after *host*, and what they prove.

Real sticks were gone 0.1 to 0.5 s after *off*, and there 3.4 to 3.7 s after *host*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.host import SLOWEST_STICK_S as SLOWEST_S

if TYPE_CHECKING:
    from hil.dutlink.storage.usb_sockets import UsbDisk

__all__ = ["EVEN_S", "LEAVES_WITHIN_S", "NOT_TIMED_S", "SLOWEST_S", "Arrival"]

NOT_TIMED_S = 0.0
"""Is kept in place of the time of a stick that was not seen to come in time; none comes so soon."""

LEAVES_WITHIN_S = 1.0
"""Seconds within which a disk leaves after *off* (0.1 to 0.5 were measured); a later one proves nothing."""

EVEN_S = 0.6
"""Two times after *host* count as equal if they differ by at most this many seconds."""

_EVEN_CONNECT_S = 0.3
"""The same for the kernel's time of connection, which depends on neither the disk nor the host's load."""

_UNEVEN_S, _UNEVEN_ROUNDS = 1.5, 3
"""A busy host sees a stick at uneven times: such a disk must follow more often."""

_UNUSUAL_ROUNDS = 2
_CONNECTS_AFTER_S = 0.2
"""A disk needs this long to start after power; one that connects sooner was powered before *host*."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A disk that came with *host*.

    Attributes:
        disk: The disk.
        after_s: When it could be used, in seconds after *host*.
        connected_after_s: When its USB device connected, in seconds after *host*; None if the kernel does not
            tell.
        unseen_s: It may have come so many seconds before `after_s`, since the host did not look in between.
    """

    disk: UsbDisk
    after_s: float
    connected_after_s: float | None = None
    unseen_s: float = 0.0

    @property
    def is_timed(self) -> bool:
        """Whether `after_s` tells when it came: a thread that was stopped sees it late."""
        return self.unseen_s <= EVEN_S

    def came_about(self, after_s: float) -> bool:
        """Return True if it may have come about `after_s` seconds after *host*."""
        earliest_s = self.after_s if self.is_timed else self.after_s - self.unseen_s
        return earliest_s - EVEN_S <= after_s <= self.after_s + EVEN_S

    def rounds_after(self, before: Arrival) -> int:
        """Return how many rounds like this one in a row prove the disk; 0 if no number does.

        Args:
            before: Its arrival in the round before.
        """
        difference_s, even_s = self._difference(before)
        if before.disk.names != self.disk.names or difference_s > _UNEVEN_S:
            return 0
        if difference_s > even_s:
            return _UNEVEN_ROUNDS
        return _UNUSUAL_ROUNDS if self._is_unusual or before._is_unusual else 1

    def _difference(self, before: Arrival) -> tuple[float, float]:
        """Return the difference of the two times, and the largest one that counts as equal.

        Connection times are preferred: the host's load does not delay them.
        """
        if self.connected_after_s is not None and before.connected_after_s is not None:
            return abs(self.connected_after_s - before.connected_after_s), _EVEN_CONNECT_S
        return abs(self.after_s - before.after_s), EVEN_S

    @property
    def _is_unusual(self) -> bool:
        """Whether its times differ from those of a mux."""
        if self.connected_after_s is None:
            return self.after_s > SLOWEST_S
        return not _CONNECTS_AFTER_S <= self.connected_after_s <= SLOWEST_S
