"""A board in its DFU boot loader: on the bus, and of no use for tests (bootloader: main.rs).

Its source gives it the running board's product id and no control interface; its README shows `e012` in a
kernel log. Boards of both kinds exist as far as anybody can tell, so the product id is an argument.
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
    """Interface 0, for ever idle: no firmware can be written to a simulated board."""

    def control_in(self, setup: SetupPacket) -> Reply:
        if not setup.is_for(RequestKind.CLASS, 0):
            return None
        if setup.request == _DfuRequest.GET_STATUS:
            return bytes((0, 0, 0, 0, _IDLE, 0))
        return bytes((_IDLE,)) if setup.request == _DfuRequest.GET_STATE else Handshake.STALL

    def control_out(self, setup: SetupPacket, data: bytes) -> Reply:  # noqa: ARG002  # the protocol's; ABORT has none
        if not setup.is_for(RequestKind.CLASS, 0):
            return None
        return b"" if setup.request == _DfuRequest.ABORT else Handshake.STALL

    def reset(self) -> None:
        """Idle before, idle after."""


class BootLoader:
    """A `UsbDevice` with one DFU interface.

    Args:
        serial: The board's serial number, which the boot loader tells too.
        product_id: 0xe012 or 0x1012.
    """

    def __init__(self, serial: str, product_id: int = PRODUCT_ID) -> None:
        self.serial = serial
        self._pipe = EndpointZero(boot_loader_descriptors(serial, product_id), (_DfuMode(),))
        self._product_id = product_id
        self._powered = True

    @property
    def identity(self) -> UsbIdentity:
        """What a bus listing says about it."""
        return UsbIdentity(
            VENDOR_ID, self._product_id, 0x0001, (0, 0, 0), interfaces=((0xFE, 1, 2),), speed=_FULL_SPEED
        )

    def submit(self, urb: Urb) -> None:
        """Answer at once; there is nothing but endpoint zero."""
        if not self._powered:
            urb.complete(ESHUTDOWN, b"")
        elif urb.endpoint == 0:
            urb.complete(*self._pipe.transfer(urb.setup, urb.data))
        else:
            urb.complete(_EPROTO, b"")

    def cancel(self, urb: Urb) -> bool:  # noqa: ARG002  # the protocol's; nothing ever waits here
        """Return False: every transfer has completed."""
        return False

    def reset(self) -> None:
        """Begin again after a bus reset."""
        self._pipe.reset()

    def power_loss(self) -> None:
        """Be unplugged."""
        self._powered = False

    def power_up(self) -> None:
        """Be plugged in again."""
        self._powered = True
        self._pipe.reset()
