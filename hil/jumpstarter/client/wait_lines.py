"""Lines that tell the user what a run waits for: whenever that changes, and every 30 s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WaitLines"]

_EVERY_S: Final = 30.0


class WaitLines:
    """Shows why a wait goes on; it begins when the object is made.

    Args:
        tell: Shows the user a line.
        what: What is waited for.
        wait_s: How long at most, in seconds; 0: nothing is shown.
    """

    def __init__(self, tell: Callable[[str], None], what: str, wait_s: float) -> None:
        self._tell = tell
        self._what = what
        self._wait = Deadline(wait_s)
        self._told = ""
        self._told_s = 0.0

    def show(self, news: str) -> None:
        """Show the reason why the wait goes on, unless it was shown less than 30 s ago."""
        spent_s, wait_s = self._wait.spent_s, self._wait.limit_s
        if wait_s and (news != self._told or spent_s - self._told_s >= _EVERY_S):
            self._told, self._told_s = news, spent_s
            self._tell(f"hil: waiting for {self._what}: {news} ({spent_s:.0f} of {wait_s:.0f} s)")
