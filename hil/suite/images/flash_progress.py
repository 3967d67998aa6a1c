"""Show the progress of a flash before a test, and end a flash that takes too long.

The time is checked as bytes are done. Waits for the stick are not limited here: each has its own limit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hil.errors import FlashError
from hil.flash.progress import ProgressLines

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FlashProgress"]

_SHOWN_AFTER_S: Final = 10.0
"""Shorter phases are not shown: a line tells the result of the flash."""


class FlashProgress(ProgressLines):
    """A `Progress` that raises an error if bytes are done after a time limit.

    Args:
        tell: Shows the user a line.
        what: What is flashed and where, for lines and errors.
        limit_s: The longest time from now, in seconds.
    """

    def __init__(self, tell: Callable[[str], None], what: str, limit_s: float) -> None:
        self._flash_began_s = self._phase_began_s = time.monotonic()
        self._what = what
        self._limit_s = limit_s
        super().__init__(lambda line: self._show(tell, line))

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Start a phase; see `Progress`."""
        self._phase_began_s = time.monotonic()
        super().begin(phase, total_bytes)

    def advance(self, size_bytes: int) -> None:
        """Add bytes that are done.

        Raises:
            FlashError: The time limit is over.
        """
        super().advance(size_bytes)
        if time.monotonic() - self._flash_began_s > self._limit_s:
            raise FlashError(
                f"{self._what}: not done after {self._limit_s:g} s",
                why="that is the time limit for an image",
                remedy="look at the stick and the network, or give it more: --hil-image-limit SECONDS",
            )

    def _show(self, tell: Callable[[str], None], line: str) -> None:
        if time.monotonic() - self._phase_began_s > _SHOWN_AFTER_S:
            tell(f"hil: {self._what}: {line}")
