"""What this process asked of its boards: the last requests with their outcome, and the number of uses.

The last requests are for the report of a failure. Many requests in a row that only read, as a power trace
sends them, are one entry, and so are repetitions of a request that fails. Otherwise they would displace the
requests that changed something.

A test that never used its board has shown nothing about it, so uses are counted. Requests of hil's own, such
as those of the power trace of a test's evidence, are not counted.
"""

from __future__ import annotations

import copy
import sys
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from hil.dutlink.usb.protocol import (
    ConfigKey,
    PinValue,
    PowerAction,
    ReadKey,
    Request,
    StateByte,
    StorageAction,
)

if TYPE_CHECKING:
    import enum
    from collections.abc import Iterator

    from hil.errors import HilError

__all__ = [
    "KEPT_REQUESTS",
    "OK",
    "LastRequests",
    "RequestsSince",
    "SentRequest",
    "count_request",
    "record_error",
    "uncounted",
]

KEPT_REQUESTS = 200
OK = "ok"

_METER = frozenset({Request.REFRESH, Request.READ})
_VALUES: dict[Request, type[enum.IntEnum]] = {
    Request.POWER: PowerAction,
    Request.STORAGE: StorageAction,
    Request.CONFIG: ConfigKey,
    Request.READ: ReadKey,
    Request.SET_PIN: PinValue,
}


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request, or several equal ones in a row.

    Attributes:
        monotonic_s: When the first was sent, by `time.monotonic`.
        time_s: When the first was sent, in seconds since 1970.
        name: The request; "meter" or "settings" if these were read.
        value: Its value, in the firmware's words.
        status: "ok", or the name of the error.
        duration_s: Seconds from the sending of the first to the answer to the last.
        count: How many requests.
    """

    monotonic_s: float
    time_s: float
    name: str
    value: str
    status: str
    duration_s: float
    count: int = 1

    @property
    def end_s(self) -> float:
        """When the last was answered, by `time.monotonic`."""
        return self.monotonic_s + self.duration_s

    def with_one_more(self, answered_s: float) -> Self:
        """Return the entry with one more request, which was answered at that moment."""
        return type(self)(
            self.monotonic_s,
            self.time_s,
            self.name,
            self.value,
            self.status,
            answered_s - self.monotonic_s,
            self.count + 1,
        )


class LastRequests:
    """The newest requests; `add` is called while the link's lock is held."""

    def __init__(self, kept: int = KEPT_REQUESTS) -> None:
        self._kept: deque[SentRequest] = deque(maxlen=kept)

    def add(self, began_s: float, request: Request, value: int, sent: bytes | None, status: str) -> None:
        """Add a request that has ended.

        Args:
            began_s: When it was sent, by `time.monotonic`.
            request: The request.
            value: Its `wValue`.
            sent: The bytes that were sent with it; None: it was an IN request.
            status: "ok", or the error's name.
        """
        now_s = time.monotonic()
        read = _reading(request, sent) if status == OK else ""
        last = self._kept[-1] if self._kept else None
        if last is not None and read and (last.name, last.status) == (read, OK):
            self._kept[-1] = last.with_one_more(now_s)
            return
        took_s = now_s - began_s
        name = read or request.name.lower().replace("_", "-")
        text = "" if read else _value(request, value, sent or b"")
        new = SentRequest(began_s, time.time() - took_s, name, text, status, took_s)
        if last is not None and _fails_again(last, new):
            self._kept[-1] = last.with_one_more(now_s)
        else:
            self._kept.append(new)

    def since(self, monotonic_s: float) -> list[SentRequest]:
        """Return the requests that ended after that moment, oldest first."""
        return [one for one in self if one.end_s >= monotonic_s]

    def __iter__(self) -> Iterator[SentRequest]:
        return iter(tuple(self._kept))


def _fails_again(last: SentRequest, new: SentRequest) -> bool:
    """Return True if a request fails as the one before it did: they are one entry."""
    same = (last.name, last.value, last.status) == (new.name, new.value, new.status)
    return same and new.status != OK


def _reading(request: Request, sent: bytes | None) -> str:
    """Return what a request reads, "meter" or "settings"; empty if it changes something."""
    if request in _METER:
        return "meter"
    return "settings" if request is Request.CONFIG and sent is None else ""


def _value(request: Request, value: int, sent: bytes) -> str:
    words = _VALUES.get(request)
    if words is None:
        return ""
    name = words(value).name.lower().replace("_", "-") if value in set(words) else str(value)
    if request is Request.SET_PIN and len(sent) == 1 and sent[0] in set(StateByte):
        return f"{name} {StateByte(sent[0]).name.lower()}"
    return f"{name} = {sent.decode(errors='replace')!r}" if request is Request.CONFIG and sent else name


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
