"""How often this process asked each board for something: requests, and uses of its console.

A test that never asked its board has shown nothing about it. What hil does on its own account, such as the
power trace of a test's evidence, is left out.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["count_asked", "times_asked", "uncounted"]

_turn = threading.Lock()
_asked: Counter[str] = Counter()
_is_uncounted = ContextVar("is_uncounted", default=False)


def count_asked(serial: str) -> None:
    """Count one request to a board, or one use of its console."""
    if not _is_uncounted.get():
        with _turn:
            _asked[serial] += 1


def times_asked(serial: str) -> int:
    """Return how often this process asked a board for something, by any object and in any thread."""
    return _asked[serial]


@contextmanager
def uncounted() -> Iterator[None]:
    """Do not count what is asked in the block, nor in the threads that hil starts in it."""
    token = _is_uncounted.set(True)
    try:
        yield
    finally:
        _is_uncounted.reset(token)
