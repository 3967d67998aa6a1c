"""How the parts of a simulated board meet: who calls whom, in which units.

One thread runs everything, by callbacks on one clock; nothing here blocks or awaits. Currents are amperes,
voltages volts, times seconds of simulated time, levels are pin levels as a voltmeter would see them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


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
    "UsbIdentity",
]


class PinLevel(enum.StrEnum):
    """What a control pin does to the DUT."""

    LOW = "low"
    HIGH = "high"
    FLOATING = "floating"


class ControlPin(enum.StrEnum):
    """The control pins, by the names on the board."""

    RESET = "reset"
    A = "a"
    B = "b"
    C = "c"
    D = "d"


class MuxPosition(enum.StrEnum):
    """Who sees the storage stick."""

    OFF = "off"
    HOST = "host"
    DUT = "dut"


class Timer(Protocol):
    """A callback that has been asked for and may be called off."""

    def cancel(self) -> None:
        """Do not call it any more; harmless when it was called already."""
        ...


class Clock(Protocol):
    """Simulated time. Only `hil.sim.clock` knows how it relates to real time."""

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
        is_in: Device to host.
        setup: The eight SETUP bytes; zeros unless `endpoint` is 0.
        data: What the host sends; empty for IN.
        length: How many bytes the host asks for (IN) or sends (OUT).
        sender: Who sent it, for the record: "pid 1234", "usbip 127.0.0.1:50112".
        complete: Called exactly once, now or later: a status (0, or a negative errno as Linux' USB core
            gives it: -32 STALL, -71 line error, -108 device gone) and the bytes for the host.
    """

    endpoint: int
    is_in: bool
    setup: bytes
    data: bytes
    length: int
    sender: str
    complete: Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class UsbIdentity:
    """What a bus listing says about a device before anybody opens it.

    Attributes:
        vendor_id: `idVendor`.
        product_id: `idProduct`.
        bcd_device: `bcdDevice`.
        device_class: Class, subclass, protocol of the device descriptor.
        interfaces: Class, subclass, protocol of each interface, in order of their numbers.
        speed: As Linux' `enum usb_device_speed`: 2 full, 3 high.
        configuration_value: `bConfigurationValue` of its only configuration.
    """

    vendor_id: int
    product_id: int
    bcd_device: int
    device_class: tuple[int, int, int]
    interfaces: tuple[tuple[int, int, int], ...]
    speed: int
    configuration_value: int = 1


class UsbDevice(Protocol):
    """What can be plugged into the simulated bus: a board, its boot loader, a stick."""

    @property
    def identity(self) -> UsbIdentity:
        """What a bus listing says about it."""
        ...

    def submit(self, urb: Urb) -> None:
        """Take a transfer; call `urb.complete` once, now or later."""
        ...

    def cancel(self, urb: Urb) -> bool:
        """Forget a transfer that is still waiting; True when it was waiting (it will not complete then)."""
        ...

    def reset(self) -> None:
        """A USB bus reset, as a host does when it attaches."""
        ...


class BlockStore(Protocol):
    """The bytes of a stick, as whoever it is connected to sees them."""

    size_bytes: int

    def read(self, offset: int, length: int) -> bytes:
        """Read; raises OSError (EIO) where the stick errs."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Write; raises OSError (EIO) where the stick errs."""
        ...


class BoardSide(Protocol):
    """What a DUT can do to the board that carries it."""

    def uart_from_dut(self, data: bytes) -> None:
        """Bytes that leave the DUT's UART now (the DUT keeps the pace of 115200 baud itself)."""
        ...

    def draw_changed(self, amps: float, volts: float) -> None:
        """The DUT's current and the voltage behind the switch, from now on until the next call."""
        ...


class Dut(Protocol):
    """A device under test as the board sees it."""

    def connect(self, board: BoardSide) -> None:
        """Learn which board carries it; called once, before anything else."""
        ...

    def supply(self, on: bool) -> None:
        """The board switched the supply."""
        ...

    def pin(self, pin: ControlPin, level: PinLevel) -> None:
        """The board drives a control pin, or lets it float."""
        ...

    def uart_to_dut(self, data: bytes) -> None:
        """Bytes that arrive at the DUT's UART (the board keeps the pace)."""
        ...

    def stick(self, store: BlockStore | None) -> None:
        """The mux gave the DUT the stick, or took it away."""
        ...

    def fault(self, name: str, arguments: dict[str, Any]) -> None:
        """Begin or end a fault: `hang_in_boot`, `sag`; raises ValueError for one it does not know."""
        ...

    def state(self) -> dict[str, Any]:
        """The truth about it, as plain data."""
        ...


class NoTimer:
    """A timer that was never set."""

    def cancel(self) -> None:
        """Do nothing: no call is pending."""
