"""Every control request a board was sent, with its time and its sender."""

from __future__ import annotations

import itertools
import struct
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hil.sim.interfaces import Clock, Urb

__all__ = ["LoggedRequest", "RequestLog"]

_SETUP = struct.Struct("<BBHHH")
_KEPT = 20_000
"""The log forgets its oldest requests beyond so many; a reader sees the gap by their index."""

_KEPT_BYTES = 2048
"""The most that is kept of a request's data: no board takes more in one request (DFU, `wTransferSize`)."""


@dataclass(slots=True)
class LoggedRequest:
    """One control request.

    Attributes:
        index: Counts up from 0.
        time: Simulated seconds since the simulator began.
        sender: Who sent it: "pid 4711", "usbip 127.0.0.1:50112", "cdc_acm".
        data: The first 2048 bytes that went with it, either way, in hexadecimal.
        status: 0, or a negative errno; None while it waits.
    """

    index: int
    time: float
    sender: str
    bmRequestType: int  # noqa: N815 - the USB specification's names, as a reader of the log expects them
    bRequest: int  # noqa: N815 - as above
    wValue: int  # noqa: N815 - as above
    wIndex: int  # noqa: N815 - as above
    length: int
    data: str
    status: int | None = None


class RequestLog:
    """The requests of one board, kept over unplugging and replugging it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = itertools.count()
        self._requests: deque[LoggedRequest] = deque(maxlen=_KEPT)

    def begin(self, urb: Urb) -> LoggedRequest:
        """Note a control request on its way to the board."""
        request_type, what, value, index, length = _SETUP.unpack(urb.setup)
        request = LoggedRequest(
            index=next(self._count),
            time=self._clock.now(),
            sender=urb.sender,
            bmRequestType=request_type,
            bRequest=what,
            wValue=value,
            wIndex=index,
            length=length,
            data=urb.data[:_KEPT_BYTES].hex(),
        )
        self._requests.append(request)
        return request

    def end(self, request: LoggedRequest, status: int, data: bytes) -> None:
        """Note its answer."""
        request.status = status
        request.data += data[:_KEPT_BYTES].hex()

    def since(self, index: int) -> tuple[list[dict[str, Any]], int]:
        """Return the requests from `index` on, and the index to ask for next."""
        kept = [asdict(request) for request in self._requests if request.index >= index]
        return kept, (kept[-1]["index"] + 1 if kept else max(index, self._next()))

    def _next(self) -> int:
        return self._requests[-1].index + 1 if self._requests else 0
