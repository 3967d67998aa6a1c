"""The times of a mux: how soon after *off* a disk leaves and after *host* it comes, and what these prove.

Measured with real sticks: gone 0.1 to 0.5 s after *off*, there 3.4 to 3.7 s after *host*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.dutlink.host import SLOWEST_STICK_S as SLOWEST_S

if TYPE_CHECKING:
    from hil.dutlink.storage.usb_sockets import UsbDisk

__all__ = ["EVEN_S", "LEAVES_WITHIN_S", "SLOWEST_S", "Coming"]

LEAVES_WITHIN_S = 1.0
"""Seconds within which a mux lets go of a disk (0.1 to 0.5 were measured); a later one proves nothing."""

EVEN_S = 0.6
"""Two times after *host* are the same if they differ by at most these seconds."""

_EVEN_CONNECT_S = 0.3
"""The same for when the kernel says that the device connected, which depends on neither disk nor host."""

_UNEVEN_S, _UNEVEN_ROUNDS = 1.5, 3
"""A busy host sees a stick sooner or later each time: such a disk must follow more often."""

_UNUSUAL_ROUNDS = 2
_CONNECTS_AFTER_S = 0.2
"""A disk that gets its power with *host* starts first; one that connects sooner was plugged in before."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A disk that came with *host*.

    Attributes:
        disk: The disk.
        after_s: How long after *host* it could be used, in seconds.
        connected_after_s: How long after *host* its USB device connected; None if the kernel does not tell.
    """

    disk: UsbDisk
    after_s: float
    connected_after_s: float | None = None

    def is_at(self, after_s: float) -> bool:
        """Return True if this time after *host* is as good as `after_s` seconds."""
        return abs(after_s - self.after_s) <= EVEN_S

    def rounds_after(self, before: Coming) -> int:
        """Return how many rounds in a row like this one prove the disk; 0 if none do.

        Args:
            before: Its coming in the round before.
        """
        difference_s, even_s = self._difference(before)
        if before.disk.names != self.disk.names or difference_s > _UNEVEN_S:
            return 0
        if difference_s > even_s:
            return _UNEVEN_ROUNDS
        return _UNUSUAL_ROUNDS if self._is_unusual or before._is_unusual else 1

    def _difference(self, before: Coming) -> tuple[float, float]:
        """Return how far the times are apart, and how far the same ones may be.

        A busy host can use a disk later; when it connected depends on the mux alone.
        """
        if self.connected_after_s is not None and before.connected_after_s is not None:
            return abs(self.connected_after_s - before.connected_after_s), _EVEN_CONNECT_S
        return abs(self.after_s - before.after_s), EVEN_S

    @property
    def _is_unusual(self) -> bool:
        """Whether its times are unlike those of a mux."""
        if self.connected_after_s is None:
            return self.after_s > SLOWEST_S
        return not _CONNECTS_AFTER_S <= self.connected_after_s <= SLOWEST_S
