"""DFU: the run-time interface, which starts the boot loader, and a board in its boot loader.

Sources: usbd-dfu-rt: class.rs; firmware: dfu.rs; bootloader: main.rs. A board in its boot loader is on the
bus but cannot run tests. The source of each release gives it the product id of the running board, 1012, and
no control interface. Its README shows `e012` in a kernel log. Boards of both kinds may exist, so the product
id is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.sim.board.descriptors import BOARD_PRODUCT_ID, VENDOR_ID, boot_loader_descriptors
from hil.sim.board.endpoint_zero import EndpointZero, Handshake, Reply, RequestKind, SetupPacket
from hil.sim.board.endpoints import ESHUTDOWN
from hil.sim.interfaces import Clock, NoTimer, Timer
from hil.sim.usb_identity import UsbIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.board.cpu import Ticker
    from hil.sim.interfaces import Urb

__all__ = ["PRODUCT_ID", "BootLoader", "DfuRunTime"]

_INTERFACE: Final = 2
_TICK_MS: Final = 10


class _DfuRequest:
    """`bRequest` of DFU 1.1a."""

    DETACH: Final = 0
    GET_STATUS: Final = 3
    GET_STATE: Final = 5
    ABORT: Final = 6


class DfuRunTime:
    """A `UsbClass` that ends the firmware on request.

    Args:
        clock: Simulated time.
        ticker: The 10 ms interrupts, which count the time.
        detach: Called once, when the requested time has passed.
    """

    def __init__(self, clock: Clock, ticker: Ticker, detach: Callable[[], None]) -> None:
        self._clock = clock
        self._ticker = ticker
        self._detach = detach
        self._timer: Timer = NoTimer()
        self._due_count: int | None = None
        self._asked = False

    def control_in(self, setup: SetupPacket) -> Reply:
        """Answer GETSTATUS: no error, and the state idle (0) or about to detach (1)."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request == _DfuRequest.GET_STATUS:
            return bytes((0, 0, 0, 0, self._asked, 0))
        return Handshake.STALL

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:  # noqa: ARG002  # part of the protocol; DETACH has no data
        """Accept DETACH. `wValue` is the time to wait in milliseconds, rounded up to at least one tick."""
        if not setup.is_for(RequestKind.CLASS, _INTERFACE):
            return None
        if setup.request != _DfuRequest.DETACH:
            return Handshake.STALL
        self._asked = True
        self._due_count = self._ticker.count + max(1, -(-setup.value // _TICK_MS))
        self.detach_if_due()
        return b""

    def reset(self) -> None:
        """Do nothing on a bus reset: the firmware declares that it detaches by itself."""

    def detach_if_due(self) -> None:
        """Detach if the time has come, else set a timer.

        The owner calls this again when ticks count again after a pause.
        """
        self._timer.cancel()
        if self._due_count is None or self._ticker.frozen:
            return
        if self._ticker.count >= self._due_count:
            self._due_count = None
            self._detach()
        else:
            self._timer = self._clock.call_later(
                self._ticker.seconds_until(self._due_count), self.detach_if_due
            )

    def stop(self) -> None:
        """Drop the request and its timer, as without power."""
        self._timer.cancel()
        self._due_count = None


PRODUCT_ID: Final = BOARD_PRODUCT_ID
_EPROTO: Final = -71
_FULL_SPEED: Final = 2
_IDLE: Final = 2


class _DfuMode:
    """Interface 0, which stays idle: no firmware can be written to a simulated board."""

    def control_in(self, setup: SetupPacket) -> Reply:
        if not setup.is_for(RequestKind.CLASS, 0):
            return None
        if setup.request == _DfuRequest.GET_STATUS:
            return bytes((0, 0, 0, 0, _IDLE, 0))
        return bytes((_IDLE,)) if setup.request == _DfuRequest.GET_STATE else Handshake.STALL

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:  # noqa: ARG002  # part of the protocol; ABORT has no data
        if not setup.is_for(RequestKind.CLASS, 0):
            return None
        return b"" if setup.request == _DfuRequest.ABORT else Handshake.STALL

    def reset(self) -> None:
        """Do nothing: the state is idle before and after a reset."""


class BootLoader:
    """A `UsbDevice` with one DFU interface.

    Args:
        serial: The board's serial number, which the boot loader reports, too.
        product_id: 0x1012 or 0xe012.
    """

    def __init__(self, serial: str, product_id: int = PRODUCT_ID) -> None:
        self.serial = serial
        self._endpoint_zero = EndpointZero(boot_loader_descriptors(serial, product_id), (_DfuMode(),))
        self._product_id = product_id
        self._powered = True

    @property
    def identity(self) -> UsbIdentity:
        """The part of its descriptors that a bus listing shows."""
        return UsbIdentity(
            VENDOR_ID, self._product_id, 0x0001, (0, 0, 0), interfaces=((0xFE, 1, 2),), speed=_FULL_SPEED
        )

    def submit(self, urb: Urb) -> None:
        """Complete a transfer at once; only endpoint zero exists."""
        if not self._powered:
            urb.complete(ESHUTDOWN, b"")
        elif urb.endpoint == 0:
            urb.complete(*self._endpoint_zero.transfer(urb.setup, urb.data))
        else:
            urb.complete(_EPROTO, b"")

    def cancel(self, urb: Urb) -> bool:  # noqa: ARG002  # part of the protocol; no transfer waits here
        """Return False: each transfer has completed already."""
        return False

    def reset(self) -> None:
        """Handle a bus reset."""
        self._endpoint_zero.reset()

    def power_loss(self) -> None:
        """Lose power."""
        self._powered = False

    def power_up(self) -> None:
        """Get power again."""
        self._powered = True
        self._endpoint_zero.reset()
