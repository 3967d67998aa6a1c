"""Bulk and interrupt endpoints of the USB controller: a queue of transfers and a memory for one packet each.

The controller moves packets between memory and host by itself. The processor fills and empties the memory
(synopsys-usb-otg: bus.rs, endpoint.rs).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from hil.sim.board.endpoint_zero import EPIPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.interfaces import Urb

__all__ = ["EOVERFLOW", "ESHUTDOWN", "PACKET_BYTES", "InEndpoint", "OutEndpoint"]

PACKET_BYTES: Final = 64
EOVERFLOW: Final = -75
"""Status of a transfer whose packet was longer than the room that the host left."""
ESHUTDOWN: Final = -108
"""Status of a transfer to a device that is gone."""


@dataclass(slots=True)
class _Transfer:
    urb: Urb


_AnyTransfer = TypeVar("_AnyTransfer", bound=_Transfer)


class _Endpoint(Generic[_AnyTransfer]):
    """Queue and packet memory, for both directions."""

    def __init__(self) -> None:
        self.packet: bytes | None = None
        self._waiting: deque[_AnyTransfer] = deque()

    def stall(self) -> bool:
        """Refuse the first waiting transfer, as a halted endpoint does; return False if none waits."""
        if self._waiting:
            self._waiting.popleft().urb.complete(EPIPE, b"")
            return True
        return False

    def cancel(self, urb: Urb) -> bool:
        """Cancel a transfer; return True if it was waiting."""
        found = next((transfer for transfer in self._waiting if transfer.urb is urb), None)
        if found is not None:
            self._waiting.remove(found)
        return found is not None

    def drain(self) -> list[Urb]:
        """Empty queue and memory; return the transfers that were waiting."""
        urbs = [transfer.urb for transfer in self._waiting]
        self._waiting.clear()
        self.packet = None
        return urbs


@dataclass(slots=True)
class _InTransfer(_Transfer):
    room_bytes: int
    data: bytearray = field(default_factory=bytearray)


class InEndpoint(_Endpoint[_InTransfer]):
    """A bulk or interrupt endpoint to the host.

    Attributes:
        filter: Function that changes each packet to the host, for faults.
    """

    def __init__(self) -> None:
        super().__init__()
        self.filter: Callable[[bytes], bytes] | None = None

    def add(self, urb: Urb) -> None:
        """Queue a transfer until packets come."""
        self._waiting.append(_InTransfer(urb, urb.length))

    def load(self, packet: bytes) -> bool:
        """Store a packet in the memory; return False if the memory is full."""
        if self.packet is not None:
            return False
        self.packet = packet
        return True

    def hand_over(self) -> bool:
        """Give the packet to the oldest transfer; return False if there is no packet or no transfer.

        A short packet ends the transfer, and so does a full buffer.
        """
        if self.packet is None or not self._waiting:
            return False
        packet, self.packet = self.packet, None
        transfer = self._waiting[0]
        transfer.room_bytes -= len(packet)
        if transfer.room_bytes < 0:
            self._end(EOVERFLOW)
            return True
        transfer.data += self.filter(packet) if self.filter else packet
        if len(packet) < PACKET_BYTES or transfer.room_bytes == 0:
            self._end(0)
        return True

    def _end(self, status: int) -> None:
        transfer = self._waiting.popleft()
        transfer.urb.complete(status, bytes(transfer.data) if status == 0 else b"")


@dataclass(slots=True)
class _OutTransfer(_Transfer):
    order: int
    sent_bytes: int = 0


class OutEndpoint(_Endpoint[_OutTransfer]):
    """A bulk endpoint from the host."""

    @property
    def first_order(self) -> int | None:
        """Arrival number of the oldest transfer, or None."""
        return self._waiting[0].order if self._waiting else None

    def add(self, urb: Urb, order: int) -> None:
        """Queue a transfer until the memory has room; `order` is its arrival number."""
        self._waiting.append(_OutTransfer(urb, order))

    def accept(self) -> None:
        """Move the next packet of the oldest transfer into the empty memory; the last one completes it."""
        transfer = self._waiting[0]
        data = transfer.urb.data
        self.packet = data[transfer.sent_bytes : transfer.sent_bytes + PACKET_BYTES]
        transfer.sent_bytes += len(self.packet)
        if transfer.sent_bytes >= len(data):
            self._waiting.popleft()
            transfer.urb.complete(0, b"")

    def take(self) -> bytes:
        """Return the packet and empty the memory; return no bytes if it was empty."""
        packet, self.packet = self.packet, None
        return packet or b""
