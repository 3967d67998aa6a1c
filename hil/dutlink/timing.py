"""Deadlines, polling until a deadline, and pauses between attempts.

The standard library cannot wait for device nodes or for other processes' changes, so `until` checks for them
every few milliseconds.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = [
    "ANSWER_LIMIT_S",
    "GLANCE_S",
    "LOOK_EVERY_S",
    "Backoff",
    "Deadline",
    "OuterLimit",
    "outer_limit",
    "sleep",
    "until",
]

LOOK_EVERY_S = 0.05
"""Seconds between two checks."""

ANSWER_LIMIT_S = 30.0
"""Seconds that a board may be silent before it counts as lost; sequences of 15 to 20 s occur in real labs."""

GLANCE_S = 1.0
"""Seconds that a board gets to answer if it is one of several."""

Found = TypeVar("Found")


class Deadline:
    """A point in time at which a wait ends.

    Args:
        limit_s: Seconds from now; a negative number counts as 0, `inf` as the longest time that Python can
            wait.
    """

    __slots__ = ("_began", "limit_s")

    def __init__(self, limit_s: float) -> None:
        self.limit_s = min(max(0.0, limit_s), threading.TIMEOUT_MAX)
        self._began = time.monotonic()

    @property
    def spent_s(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began

    @property
    def left_s(self) -> float:
        """Seconds until it passes; 0 after that."""
        return max(0.0, self.limit_s - self.spent_s)

    @property
    def passed(self) -> bool:
        """Whether it has passed."""
        return self.left_s <= 0.0


class Backoff:
    """Pauses between attempts, each twice as long as the one before, from `first_s` up to `longest_s`.

    Args:
        first_s: The first pause, in seconds.
        longest_s: The longest pause, in seconds.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s

    def next(self) -> float:
        """Return the next pause in seconds."""
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Start again with the first pause."""
        self._next_s = self._first_s


class OuterLimit:
    """A time limit that ends every wait from outside, such as the time limit of a test.

    A wait that ends a little earlier can raise an error that tells what it waited for.

    Attributes:
        left_s: Returns the seconds until the limit; None: there is no limit.
        whole_s: The whole limit in seconds, for errors.
        suspended: Returns a context manager whose block does not count for the limit, for waits whose length
            another process decides.
    """

    _MARGIN_S = 5.0

    def __init__(self) -> None:
        self.left_s: Callable[[], float] | None = None
        self.whole_s = 0.0
        self.suspended: Callable[[], AbstractContextManager[None]] = nullcontext

    def cut(self, timeout_s: float) -> float:
        """Return how long a wait of `timeout_s` seconds may take so that it ends before the limit."""
        if self.left_s is None:
            return timeout_s
        left_s = max(0.0, self.left_s())
        return min(timeout_s, left_s - min(self._MARGIN_S, left_s / 4))


outer_limit = OuterLimit()
"""The instance of this process; the suite sets it for each test."""


def until(find: Callable[[], Found | None], limit_s: float, every_s: float = LOOK_EVERY_S) -> Found | None:
    """Call `find` until it returns something other than None or False, or until `limit_s` seconds are over.

    An empty or zero result counts as found.

    Returns:
        The result; None if time ran out. `find` is called once more at the end, because a busy machine may
        not have called it in time.
    """
    deadline = Deadline(limit_s)
    while True:
        last = deadline.passed
        found = find()
        if found is not None and found is not False:
            return found
        if last:
            return None
        sleep(min(every_s, deadline.left_s))


def sleep(duration_s: float) -> None:
    """Sleep for that many seconds; a negative number counts as 0."""
    time.sleep(max(0.0, duration_s))
