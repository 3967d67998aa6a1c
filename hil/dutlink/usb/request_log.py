"""Keep the last requests to a board with their outcome, for the report of a failure.

Many requests in a row that only read, as a power trace sends them, are one entry, and so are repetitions of a
request that fails. Otherwise they would displace the requests that changed something.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

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

__all__ = ["KEPT_REQUESTS", "OK", "LastRequests", "SentRequest"]

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
