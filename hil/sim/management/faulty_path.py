"""Faults on the way between host and board, and the log of what passed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from hil.sim.host.enumeration import ENUMERATION
from hil.sim.interfaces import Clock, NoTimer, Timer, Urb, UsbDevice

if TYPE_CHECKING:
    from hil.sim.board.request_log import LoggedRequest, RequestLog
    from hil.sim.usb_identity import UsbIdentity

__all__ = ["EPIPE", "EPROTO", "HOST_DRIVER", "ConsoleNoise", "FaultyPath", "PathFaults"]

EPIPE = -32
EPROTO = -71
_ECONNRESET = -104
_VENDOR = 0x40
_TYPE_MASK = 0x60

HOST_DRIVER = "cdc_acm"
"""The sender of what the host's own serial driver transfers; counted faults are not spent on it."""


@dataclass(slots=True)
class PathFaults:
    """What goes wrong on the way to one board; kept while it is unplugged and replugged.

    Attributes:
        stalls: So many vendor requests still get a STALL.
        line_errors: So many transfers still fail with -71.
        hang: Nothing is answered.
        late_s: Every answer comes so many simulated seconds later.
    """

    stalls: int = 0
    line_errors: int = 0
    hang: bool = False
    late_s: float = 0.0


@dataclass(slots=True)
class _Passage:
    """One transfer on its way: what the host sent, what the board was given, what it answered."""

    urb: Urb
    request: LoggedRequest | None
    inner: Urb | None = None
    answer: tuple[int, bytes] | None = None
    timer: Timer = field(default_factory=NoTimer)


class FaultyPath:
    """A board as its host reaches it: a `UsbDevice` around another one."""

    def __init__(self, device: UsbDevice, clock: Clock, faults: PathFaults, log: RequestLog) -> None:
        self._device = device
        self._clock = clock
        self._faults = faults
        self._log = log
        self._passages: dict[int, _Passage] = {}
        self._held: list[_Passage] = []

    @property
    def identity(self) -> UsbIdentity:
        """What a bus listing says about the device behind."""
        return self._device.identity

    def reset(self) -> None:
        """A bus reset; no fault stands in its way."""
        self._device.reset()

    def submit(self, urb: Urb) -> None:
        """Take a transfer on its way, with whatever goes wrong there; plugging in always works."""
        if urb.sender == ENUMERATION:
            self._device.submit(urb)
            return
        passage = _Passage(urb, None if urb.endpoint else self._log.begin(urb))
        self._passages[id(urb)] = passage
        if self._faults.hang:
            self._held.append(passage)
        else:
            self._forward(passage)

    def cancel(self, urb: Urb) -> bool:
        """Forget a transfer, wherever it waits."""
        passage = self._passages.get(id(urb))
        if passage is None:
            return False
        with_device = passage.inner is not None and passage.answer is None
        if with_device and passage.inner is not None and not self._device.cancel(passage.inner):
            return False
        del self._passages[id(urb)]
        passage.timer.cancel()
        if passage in self._held:
            self._held.remove(passage)
        self._note(passage, _ECONNRESET, b"")
        return True

    def resume(self) -> None:
        """The hang is over: what waited goes on, in order."""
        held, self._held = self._held, []
        for passage in held:
            if passage.answer is None:
                self._forward(passage)
            else:
                self._return(passage, *passage.answer)

    def _forward(self, passage: _Passage) -> None:
        status = self._injected(passage.urb)
        if status is not None:
            self._return(passage, status, b"")
            return
        passage.inner = dataclasses.replace(passage.urb, complete=partial(self._return, passage))
        self._device.submit(passage.inner)

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

    def _return(self, passage: _Passage, status: int, data: bytes) -> None:
        passage.answer = (status, data)
        if self._faults.hang:
            self._held.append(passage)
        elif self._faults.late_s > 0:
            passage.timer = self._clock.call_later(self._faults.late_s, self._deliver, passage)
        else:
            self._deliver(passage)

    def _deliver(self, passage: _Passage) -> None:
        if passage.answer is None or self._passages.pop(id(passage.urb), None) is None:
            return
        status, data = passage.answer
        self._note(passage, status, data)
        passage.urb.complete(status, data)

    def _note(self, passage: _Passage, status: int, data: bytes) -> None:
        if passage.request is not None:
            self._log.end(passage.request, status, data)


class ConsoleNoise:
    """Changes or loses every Nth console byte on its way to the host; 0 is silence."""

    def __init__(self) -> None:
        self.garble_every = 0
        self.drop_every = 0
        self._passed = 0

    def __call__(self, data: bytes) -> bytes:
        """Return what is left of `data`."""
        if not self.garble_every and not self.drop_every:
            return data
        return bytes(self._spoil(byte) for byte in data if not self._lost())

    def _lost(self) -> bool:
        self._passed += 1
        return bool(self.drop_every) and self._passed % self.drop_every == 0

    def _spoil(self, byte: int) -> int:
        hit = self.garble_every and self._passed % self.garble_every == 0
        return byte ^ 0x20 if hit else byte
