"""Count how often this process uses each board: requests, and uses of its console.

A test that never used its board has shown nothing about it. Requests of hil's own, such as those of the power
trace of a test's evidence, are not counted.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections import Counter, deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.errors import HilError

__all__ = ["RequestsSince", "count_request", "record_error", "request_count", "uncounted"]

_MOST_ERRORS = 100
"""The number of latest errors that are kept for each board."""

_lock = threading.Lock()
_counts: Counter[str] = Counter()
_by_thread: WeakKeyDictionary[threading.Thread, Counter[str]] = WeakKeyDictionary()
_errors: dict[str, deque[tuple[int, HilError]]] = {}
_is_uncounted = ContextVar("is_uncounted", default=False)


def count_request(serial: str) -> None:
    """Count one request to a board, or one use of its console."""
    if not _is_uncounted.get():
        with _lock:
            _counts[serial] += 1
            _by_thread.setdefault(threading.current_thread(), Counter())[serial] += 1


def record_error(serial: str, error: HilError) -> None:
    """Record that a request to a board, or a use of its console, raised an error, which a test may catch.

    A copy is kept: the traceback of the error itself would keep the variables of a test alive.
    """
    if not _is_uncounted.get():
        with _lock:
            errors = _errors.setdefault(serial, deque(maxlen=_MOST_ERRORS))
            number = errors[-1][0] + 1 if errors else 1
            errors.append((number, copy.copy(error)))


def request_count(serial: str) -> int:
    """Return how often this process used a board, by any object and in any thread."""
    return _counts[serial]


class RequestsSince:
    """Count requests to a board from now on, without those of threads that run already.

    A thread of an earlier test thus does not count. The calling thread does, and so do the threads of
    executors, since these run what they are given now.

    Args:
        serial: The board's serial number.

    Attributes:
        serial: The argument.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial
        pools = sys.modules.get("concurrent.futures.thread")  # imported only if there is an executor
        own = {threading.current_thread(), *getattr(pools, "_threads_queues", ())}
        with _lock:
            self._before = _counts[serial]
            self._errors_before = self._last_error()
            self._others = {one: _times_by(one, serial) for one in threading.enumerate() if one not in own}

    def errors(self) -> list[HilError]:
        """Return copies of the latest errors of requests since then, in any thread."""
        with _lock:
            return [error for number, error in _errors.get(self.serial, ()) if number > self._errors_before]

    def _last_error(self) -> int:
        errors = _errors.get(self.serial)
        return errors[-1][0] if errors else 0

    def times(self) -> int:
        """Return how often the board was used since then."""
        with _lock:
            by_others = sum(_times_by(one, self.serial) - before for one, before in self._others.items())
            return _counts[self.serial] - self._before - by_others


def _times_by(thread: threading.Thread, serial: str) -> int:
    return _by_thread.get(thread, Counter())[serial]


@contextmanager
def uncounted() -> Iterator[None]:
    """Do not count requests of the block, nor of the threads that hil starts in it."""
    token = _is_uncounted.set(True)
    try:
        yield
    finally:
        _is_uncounted.reset(token)
