"""How often this process asked each board for something: requests, and uses of its console.

A test that never asked its board has shown nothing about it. What hil does on its own account, such as the
power trace of a test's evidence, is left out.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter, deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RequestsSince", "count_request", "record_error", "request_count", "uncounted"]

_MOST_ERRORS = 100
"""So many of the latest errors are kept for each board."""

_turn = threading.Lock()
_asked: Counter[str] = Counter()
_by_thread: WeakKeyDictionary[threading.Thread, Counter[str]] = WeakKeyDictionary()
_errors: dict[str, deque[tuple[int, str]]] = {}
_is_uncounted = ContextVar("is_uncounted", default=False)


def count_request(serial: str) -> None:
    """Count one request to a board, or one use of its console."""
    if not _is_uncounted.get():
        with _turn:
            _asked[serial] += 1
            _by_thread.setdefault(threading.current_thread(), Counter())[serial] += 1


def record_error(serial: str, error: Exception) -> None:
    """Note that a request to a board raised an error, which its caller may catch."""
    if not _is_uncounted.get():
        with _turn:
            errors = _errors.setdefault(serial, deque(maxlen=_MOST_ERRORS))
            number = errors[-1][0] + 1 if errors else 1
            errors.append((number, str(error).splitlines()[0]))


def request_count(serial: str) -> int:
    """Return how often this process asked a board for something, by any object and in any thread."""
    return _asked[serial]


class RequestsSince:
    """Count what is asked of a board from now on, without threads that run already: they are others' work.

    The thread that counts is none of these, nor are those of an executor: they do what they are given now.

    Args:
        serial: The board.

    Attributes:
        serial: The argument.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial
        pools = sys.modules.get("concurrent.futures.thread")  # imported by whatever has an executor
        own = {threading.current_thread(), *getattr(pools, "_threads_queues", ())}
        with _turn:
            self._before = _asked[serial]
            self._errors_before = self._last_error()
            self._others = {one: _times_by(one, serial) for one in threading.enumerate() if one not in own}

    def errors(self) -> list[str]:
        """Return what requests raised since, in any thread: the first line of each of the latest errors."""
        with _turn:
            return [said for number, said in _errors.get(self.serial, ()) if number > self._errors_before]

    def _last_error(self) -> int:
        errors = _errors.get(self.serial)
        return errors[-1][0] if errors else 0

    def times(self) -> int:
        """Return how often the board was asked since."""
        with _turn:
            by_others = sum(_times_by(one, self.serial) - before for one, before in self._others.items())
            return _asked[self.serial] - self._before - by_others


def _times_by(thread: threading.Thread, serial: str) -> int:
    return _by_thread.get(thread, Counter())[serial]


@contextmanager
def uncounted() -> Iterator[None]:
    """Do not count what is asked in the block, nor in the threads that hil starts in it."""
    token = _is_uncounted.set(True)
    try:
        yield
    finally:
        _is_uncounted.reset(token)
