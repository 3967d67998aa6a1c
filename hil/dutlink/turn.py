"""One board's turn to look for its stick: meanwhile no other one of this host's comes unseen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hil.dutlink.disks import Watch

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Turn"]


class Turn:
    """The turn, which ends by itself after a while, so that a user who forgets it holds nobody up.

    Args:
        dev: The host's device folder.
        limit_s: How long it lasts at most, in seconds, unless it is kept.

    Attributes:
        watch: Tells which disks came, while it lasts.
    """

    def __init__(self, dev: Path, limit_s: float) -> None:
        self.watch: Watch | None = None
        self._dev = dev
        self._limit_s = limit_s
        self._ends: threading.Timer | None = None

    def take(self) -> Watch:
        """Begin, when others have ended theirs.

        Raises:
            StorageError: Somebody else's does not end.
        """
        self.end()
        self.watch = watch = Watch(self._dev)
        self._ends = threading.Timer(self._limit_s, self.end)
        self._ends.daemon = True
        self._ends.start()
        return watch

    def keep(self) -> None:
        """Let it last until it is ended."""
        if self._ends is not None:
            self._ends.cancel()

    def end(self) -> None:
        """End it; harmless when it ended already."""
        timer, self._ends = self._ends, None
        watch, self.watch = self.watch, None
        if timer is not None:
            timer.cancel()
        if watch is not None:
            watch.end()
