"""Interfaces and values between the parts of the simulator.

One thread runs all parts, by callbacks on one clock. No method blocks or awaits. Currents are in amperes,
voltages in volts, times in seconds of simulated time. Pin levels are as a voltmeter would show them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.usb_identity import UsbIdentity


__all__ = [
    "BlockStore",
    "BoardSide",
    "Clock",
    "ControlPin",
    "Dut",
    "MuxPosition",
    "NoTimer",
    "PinLevel",
    "Timer",
    "Urb",
    "UsbDevice",
]


class PinLevel(enum.StrEnum):
    """Level of a control pin."""

    LOW = "low"
    HIGH = "high"
    FLOATING = "floating"


class ControlPin(enum.StrEnum):
    """The control pins, as the board names them."""

    RESET = "reset"
    A = "a"
    B = "b"
    C = "c"
    D = "d"


class MuxPosition(enum.StrEnum):
    """Position of the mux: where the storage stick is connected."""

    OFF = "off"
    HOST = "host"
    DUT = "dut"


class Timer(Protocol):
    """A pending call, which can be cancelled."""

    def cancel(self) -> None:
        """Cancel the call; do nothing if it has been made."""
        ...


class Clock(Protocol):
    """Simulated time. Only `hil.sim.clock` relates it to real time."""

    def now(self) -> float:
        """Return seconds of simulated time since the simulator began."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: object) -> Timer:
        """Call `callback(*args)` once, `delay_s` simulated seconds from now."""
        ...


@dataclass(slots=True)
class Urb:
    """One USB transfer on its way to a device.

    Attributes:
        endpoint: Endpoint number without the direction bit; 0 is control.
        is_in: True for device to host.
        setup: The eight SETUP bytes; zeros unless `endpoint` is 0.
        data: Bytes from the host; empty for IN.
        length: Number of bytes that the host asks for (IN) or sends (OUT).
        sender: The sender, for the log: "pid 1234", "usbip 127.0.0.1:50112".
        complete: Called exactly once, during `submit` or later, with a status and the bytes for the host. The
            status is 0 or a negative errno of Linux' USB core: -32 STALL, -71 line error, -108 device gone.
    """

    endpoint: int
    is_in: bool
    setup: bytes
    data: bytes
    length: int
    sender: str
    complete: Callable[[int, bytes], None]


class UsbDevice(Protocol):
    """A device that can be plugged into the simulated bus: a board, its boot loader or a stick."""

    @property
    def identity(self) -> UsbIdentity:
        """The part of its descriptors that a bus listing shows."""
        ...

    def submit(self, urb: Urb) -> None:
        """Start a transfer; call `urb.complete` once, now or later."""
        ...

    def cancel(self, urb: Urb) -> bool:
        """Cancel a transfer. Return True if it was waiting; then `urb.complete` is never called."""
        ...

    def reset(self) -> None:
        """Handle a USB bus reset, which a host makes when it attaches the device."""
        ...


class BlockStore(Protocol):
    """The bytes of a stick, as the host or the DUT reads and writes them."""

    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes; raise OSError (EIO) on a read error."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes; raise OSError (EIO) on a write error."""
        ...


class BoardSide(Protocol):
    """The board as its DUT sees it."""

    def uart_from_dut(self, data: bytes) -> None:
        """Receive bytes from the DUT's UART. The DUT keeps the pace of 115200 baud."""
        ...

    def draw_changed(self, amps: float, volts: float) -> None:
        """Take the DUT's current and the voltage after the supply switch, until the next call."""
        ...


class Dut(Protocol):
    """A device under test as the board sees it."""

    def connect(self, board: BoardSide) -> None:
        """Connect the DUT to its board; called once, before any other method."""
        ...

    def supply(self, on: bool) -> None:
        """Handle the supply being switched by the board."""
        ...

    def pin(self, pin: ControlPin, level: PinLevel) -> None:
        """Handle a control pin that the board drives or lets float."""
        ...

    def uart_to_dut(self, data: bytes) -> None:
        """Receive bytes at the DUT's UART. The board keeps the pace."""
        ...

    def stick(self, store: BlockStore | None) -> None:
        """Handle the stick that the mux connected, or None if the mux disconnected it."""
        ...

    def fault(self, name: str, arguments: dict[str, Any]) -> None:
        """Begin or end a fault such as `hang_in_boot` or `sag`; raise ValueError if the name is unknown."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the DUT's true state as plain data."""
        ...


class NoTimer:
    """A timer that was never set."""

    def cancel(self) -> None:
        """Do nothing: no call is pending."""
