"""Waiting with an end: deadlines, and looking again until then.

Device nodes and other processes announce nothing that the standard library could await, so they are looked
at every few milliseconds, always against a deadline.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["LOOK_EVERY_S", "Deadline", "OuterLimit", "outer_limit", "sleep", "until"]

LOOK_EVERY_S = 0.05
"""How often to look again, in seconds."""

Found = TypeVar("Found")


class Deadline:
    """A point in time that a wait must not pass.

    Args:
        limit_s: Seconds from now; negative counts as none, `inf` as the longest that Python can wait.
    """

    __slots__ = ("_began", "limit_s")

    def __init__(self, limit_s: float) -> None:
        self.limit_s = min(max(0.0, limit_s), threading.TIMEOUT_MAX)
        self._began = time.monotonic()

    @property
    def spent_s(self) -> float:
        """Seconds since it was set."""
        return time.monotonic() - self._began

    @property
    def left_s(self) -> float:
        """Seconds until it passes; 0 afterwards."""
        return max(0.0, self.limit_s - self.spent_s)

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left_s <= 0.0


class OuterLimit:
    """When something outside, such as a test's own time limit, ends whatever waits.

    A wait that ends a little earlier can tell what it waited for.

    Attributes:
        left_s: Returns the seconds until then; None: nothing ends waits.
        suspended: Makes a `with` block whose time does not count: another process decides how long it takes.
    """

    _MARGIN_S = 5.0

    def __init__(self) -> None:
        self.left_s: Callable[[], float] | None = None
        self.suspended: Callable[[], AbstractContextManager[None]] = nullcontext

    def cut(self, timeout_s: float) -> float:
        """Return how long a wait of `timeout_s` seconds may take, so that it ends before the outer limit."""
        if self.left_s is None:
            return timeout_s
        left_s = max(0.0, self.left_s())
        return min(timeout_s, left_s - min(self._MARGIN_S, left_s / 4))


outer_limit = OuterLimit()
"""This process's; the suite sets it for each test."""


def until(look: Callable[[], Found | None], limit_s: float, every_s: float = LOOK_EVERY_S) -> Found | None:
    """Call `look` until it finds something other than None or False, or `limit_s` is over.

    What is empty or 0 is found: where that means nothing, let `look` return None.

    Returns:
        What it found; None when time ran out. `look` is called once more at the very end, so that a
        machine that was busy for the whole wait still gets its answer.
    """
    deadline = Deadline(limit_s)
    while True:
        last = deadline.passed
        found = look()
        if found is not None and found is not False:
            return found
        if last:
            return None
        sleep(min(every_s, deadline.left_s))


def sleep(duration_s: float) -> None:
    """Let time pass where time itself is wanted: a pulse's length, a pause between two looks."""
    time.sleep(max(0.0, duration_s))
