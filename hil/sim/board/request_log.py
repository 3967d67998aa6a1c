"""Log of the control requests to a board, with time and sender."""

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
"""Number of requests in the log. It drops the oldest ones; a reader sees the gap by the index."""

_KEPT_BYTES = 2048
"""Number of data bytes kept of a request: no board takes more in one request (DFU, `wTransferSize`)."""


@dataclass(slots=True)
class LoggedRequest:
    """One control request.

    Attributes:
        index: Counts up from 0.
        time: Simulated seconds since the simulator began.
        sender: Its sender: "pid 4711", "usbip 127.0.0.1:50112", "cdc_acm".
        data: The first 2048 bytes of its data, in either direction, in hexadecimal.
        status: 0 or a negative errno, or None while it waits.
    """

    index: int
    time: float
    sender: str
    bmRequestType: int  # noqa: N815 - names of the USB specification
    bRequest: int  # noqa: N815 - as above
    wValue: int  # noqa: N815 - as above
    wIndex: int  # noqa: N815 - as above
    length: int
    data: str
    status: int | None = None


class RequestLog:
    """The requests to one board. The log outlasts unplugging."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = itertools.count()
        self._requests: deque[LoggedRequest] = deque(maxlen=_KEPT)

    def begin(self, urb: Urb) -> LoggedRequest:
        """Add a control request that was sent to the board."""
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
        """Add the answer to a request."""
        request.status = status
        request.data += data[:_KEPT_BYTES].hex()

    def since(self, index: int) -> tuple[list[dict[str, Any]], int]:
        """Return the requests from `index` on, and the index for the next call."""
        kept = [asdict(request) for request in self._requests if request.index >= index]
        return kept, (kept[-1]["index"] + 1 if kept else max(index, self._next()))

    def _next(self) -> int:
        return self._requests[-1].index + 1 if self._requests else 0
