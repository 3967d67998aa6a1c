"""The USB path between host and board: its faults, and the log of control requests."""

from __future__ import annotations

import dataclasses
import itertools
import struct
from collections import deque
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hil.sim.host.enumeration import ENUMERATION
from hil.sim.interfaces import Clock, NoTimer, Timer, Urb, UsbDevice

if TYPE_CHECKING:
    from hil.sim.usb_identity import UsbIdentity

__all__ = [
    "EPIPE",
    "EPROTO",
    "HOST_DRIVER",
    "ConsoleNoise",
    "FaultyPath",
    "LoggedRequest",
    "PathFaults",
    "RequestLog",
]

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
    bRequest: int  # noqa: N815 - names of the USB specification
    wValue: int  # noqa: N815 - names of the USB specification
    wIndex: int  # noqa: N815 - names of the USB specification
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


EPIPE = -32
EPROTO = -71
_ECONNRESET = -104
_VENDOR = 0x40
_TYPE_MASK = 0x60

HOST_DRIVER = "cdc_acm"
"""Sender of the transfers of the host's serial driver. Counted faults do not apply to them."""


@dataclass(slots=True)
class PathFaults:
    """Active faults between the host and one board. They outlast unplugging.

    Attributes:
        stalls: Number of vendor requests that still get a STALL.
        line_errors: Number of transfers that still fail with -71.
        hang: No transfer is answered.
        late_s: Delay of every answer, in simulated seconds.
    """

    stalls: int = 0
    line_errors: int = 0
    hang: bool = False
    late_s: float = 0.0


@dataclass(slots=True)
class _PathTransfer:
    """One transfer: the host's URB, the URB given to the board, and the board's answer."""

    urb: Urb
    request: LoggedRequest | None
    inner: Urb | None = None
    answer: tuple[int, bytes] | None = None
    timer: Timer = field(default_factory=NoTimer)


class FaultyPath:
    """A `UsbDevice` that wraps a board, applies the faults and logs control requests."""

    def __init__(self, device: UsbDevice, clock: Clock, faults: PathFaults, log: RequestLog) -> None:
        self._device = device
        self._clock = clock
        self._faults = faults
        self._log = log
        self._transfers: dict[int, _PathTransfer] = {}
        self._held: list[_PathTransfer] = []

    @property
    def identity(self) -> UsbIdentity:
        """Identity of the wrapped device."""
        return self._device.identity

    def reset(self) -> None:
        """Pass a bus reset on; no fault applies to it."""
        self._device.reset()

    def submit(self, urb: Urb) -> None:
        """Pass a transfer on, or apply a fault to it. No fault applies to the enumeration."""
        if urb.sender == ENUMERATION:
            self._device.submit(urb)
            return
        transfer = _PathTransfer(urb, None if urb.endpoint else self._log.begin(urb))
        self._transfers[id(urb)] = transfer
        if self._faults.hang:
            self._held.append(transfer)
        else:
            self._forward(transfer)

    def cancel(self, urb: Urb) -> bool:
        """Cancel a transfer that waits here or in the device. Return True if it was waiting."""
        transfer = self._transfers.get(id(urb))
        if transfer is None:
            return False
        with_device = transfer.inner is not None and transfer.answer is None
        if with_device and transfer.inner is not None and not self._device.cancel(transfer.inner):
            return False
        del self._transfers[id(urb)]
        transfer.timer.cancel()
        if transfer in self._held:
            self._held.remove(transfer)
        self._note(transfer, _ECONNRESET, b"")
        return True

    def resume(self) -> None:
        """Continue the transfers that the fault `hang` held, in order."""
        held, self._held = self._held, []
        for transfer in held:
            if transfer.answer is None:
                self._forward(transfer)
            else:
                self._return(transfer, *transfer.answer)

    def _forward(self, transfer: _PathTransfer) -> None:
        status = self._injected(transfer.urb)
        if status is not None:
            self._return(transfer, status, b"")
            return
        transfer.inner = dataclasses.replace(transfer.urb, complete=partial(self._return, transfer))
        self._device.submit(transfer.inner)

    def _injected(self, urb: Urb) -> int | None:
        if urb.sender == HOST_DRIVER:
            return None
        if self._faults.line_errors > 0:
            self._faults.line_errors -= 1
            return EPROTO
        if self._faults.stalls > 0 and not urb.endpoint and urb.setup[0] & _TYPE_MASK == _VENDOR:
            self._faults.stalls -= 1
            return EPIPE
        return None

    def _return(self, transfer: _PathTransfer, status: int, data: bytes) -> None:
        transfer.answer = (status, data)
        if self._faults.hang:
            self._held.append(transfer)
        elif self._faults.late_s > 0:
            transfer.timer = self._clock.call_later(self._faults.late_s, self._deliver, transfer)
        else:
            self._deliver(transfer)

    def _deliver(self, transfer: _PathTransfer) -> None:
        if transfer.answer is None or self._transfers.pop(id(transfer.urb), None) is None:
            return
        status, data = transfer.answer
        self._note(transfer, status, data)
        transfer.urb.complete(status, data)

    def _note(self, transfer: _PathTransfer, status: int, data: bytes) -> None:
        if transfer.request is not None:
            self._log.end(transfer.request, status, data)


class ConsoleNoise:
    """Changes or loses every Nth console byte to the host; 0 is never."""

    def __init__(self) -> None:
        self.garble_every = 0
        self.drop_every = 0
        self._passed = 0

    def __call__(self, data: bytes) -> bytes:
        """Return the bytes that reach the host."""
        if not self.garble_every and not self.drop_every:
            return data
        return bytes(self._spoil(byte) for byte in data if not self._lost())

    def _lost(self) -> bool:
        self._passed += 1
        return bool(self.drop_every) and self._passed % self.drop_every == 0

    def _spoil(self, byte: int) -> int:
        hit = self.garble_every and self._passed % self.garble_every == 0
        return byte ^ 0x20 if hit else byte
