"""A board in its DFU boot loader: it is on the bus but cannot run tests (bootloader: main.rs).

Its source gives it the product id of the running board and no control interface. Its README shows `e012` in a
kernel log. Boards of both kinds may exist, so the product id is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.sim.board.descriptors import VENDOR_ID, boot_loader_descriptors
from hil.sim.board.endpoint_zero import EndpointZero, Handshake, Reply, RequestKind, SetupPacket
from hil.sim.board.endpoints import ESHUTDOWN
from hil.sim.interfaces import UsbIdentity

if TYPE_CHECKING:
    from hil.sim.interfaces import Urb

__all__ = ["PRODUCT_ID", "BootLoader"]

PRODUCT_ID: Final = 0xE012
_EPROTO: Final = -71
_FULL_SPEED: Final = 2


class _DfuRequest:
    """`bRequest` of DFU 1.1a."""

    GET_STATUS: Final = 3
    GET_STATE: Final = 5
    ABORT: Final = 6


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
        product_id: 0xe012 or 0x1012.
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
