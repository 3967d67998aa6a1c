"""The stick as a `UsbDevice`, made of the mass-storage class of the `usbip` package.

The package cannot simulate a medium that fails. Here an OSError of the store becomes CHECK CONDITION with
MEDIUM ERROR (SCSI SPC), the answer of a worn stick.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from usbip import core, device
from usbip.classes.device import msc

from hil.sim.host.sysfs import UsbNames
from hil.sim.stick.file import BLOCK_BYTES
from hil.sim.usb_identity import UsbIdentity

if TYPE_CHECKING:
    from hil.sim.interfaces import BlockStore, Urb

__all__ = ["PRODUCT", "VENDOR", "UsbStick", "usb_names_of"]

VENDOR = "HIL"
PRODUCT = "Simulated Stick"

_VENDOR_ID = 0x1209
_PRODUCT_ID = 0x0001
_RELEASE = 0x0100
_HIGH_SPEED = 3
_WITHOUT_CARD = (msc.OP_INQUIRY, msc.OP_REQUEST_SENSE)
_READ_ERROR = (0x03, 0x11, 0x00)
_WRITE_ERROR = (0x03, 0x0C, 0x00)


def usb_names_of(serial: str) -> UsbNames:
    """Return the USB names of a stick with this serial number."""
    return UsbNames(f"{_VENDOR_ID:04x}", f"{_PRODUCT_ID:04x}", VENDOR, PRODUCT, serial)


class _Blocks:
    """A `BlockStore` with the package's interface: blocks instead of bytes."""

    block_size = BLOCK_BYTES

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self.num_blocks = store.size_bytes // BLOCK_BYTES

    def read(self, lba: int, count: int) -> bytes:
        return self._store.read(lba * BLOCK_BYTES, count * BLOCK_BYTES)

    def write(self, lba: int, _count: int, data: bytes) -> None:
        self._store.write(lba * BLOCK_BYTES, data)


class _EmptySlot:
    """A slot of a card reader without a card. The package reports that it has no medium."""

    block_size = BLOCK_BYTES
    num_blocks = 0


class _Disk(msc.MSC):  # type: ignore[misc]  # the package ships no types
    _write: Any

    def _dispatch(self, lun: int, tag: bytes, length: int, command: bytes) -> None:
        if not command:
            return
        if isinstance(self.luns[lun].store, _EmptySlot) and command[0] not in _WITHOUT_CARD:
            self._fail(lun, tag, length, msc.SENSE_NOT_READY, "no medium")
            return
        try:
            super()._dispatch(lun, tag, length, command)
        except OSError:
            self._fail(lun, tag, length, _READ_ERROR, "read")

    def _recv_write(self, data: bytes) -> None:
        pending = self._write
        try:
            super()._recv_write(data)
        except OSError:
            self._write = None
            self._fail(pending["lun"], pending["tag"], 0, _WRITE_ERROR, "write")

    def on_reset(self) -> None:
        self._write = None


class UsbStick:
    """A `UsbDevice` that is a high-speed USB disk with the stick's bytes.

    Args:
        serial: Its serial number; empty for none.
        store: The stick's bytes.
        empty_slots: Number of slots without a card before its own, as in a card reader.
    """

    def __init__(self, serial: str, store: BlockStore, empty_slots: int = 0) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, int] = {}
        self._device = device.USBDevice(
            _VENDOR_ID,
            _PRODUCT_ID,
            manufacturer=VENDOR,
            product=PRODUCT,
            serial=serial or None,
            bcdDevice=_RELEASE,
        )
        self._device.set_speed(core.SPEED_HIGH)
        slots = [*([_EmptySlot()] * empty_slots), _Blocks(store)]
        self._device.add(_Disk(slots, vendor=VENDOR, product=PRODUCT, serial=serial))

    @property
    def identity(self) -> UsbIdentity:
        """The part of its descriptors that a bus listing shows."""
        triples = tuple(self._device.interface_triples())
        return UsbIdentity(_VENDOR_ID, _PRODUCT_ID, _RELEASE, (0, 0, 0), triples, _HIGH_SPEED)

    def reset(self) -> None:
        """Handle a bus reset: empty the queues and drop an unfinished command."""
        self._device.reset_io()

    def submit(self, urb: Urb) -> None:
        """Start a transfer. A bulk IN waits until there are data."""
        foreign = self._translated(urb)
        self._waiting[id(urb)] = foreign.seqnum
        answered = self._device.handle_urb(foreign, partial(self._complete, urb))
        if answered is not None:
            self._complete(urb, answered)

    def cancel(self, urb: Urb) -> bool:
        """Cancel a transfer; return True if it was waiting."""
        number = self._waiting.pop(id(urb), None)
        if number is None:
            return False
        self._device.cancel_urb(number)
        return True

    def _translated(self, urb: Urb) -> Any:  # noqa: ANN401 - the package ships no types
        return core.Urb(
            seqnum=next(self._numbers),
            direction=int(urb.is_in),
            ep=urb.endpoint,
            length=urb.length,
            setup=urb.setup,
            buffer=urb.data,
        )

    def _complete(self, urb: Urb, answer: Any) -> None:  # noqa: ANN401 - the package ships no types
        if self._waiting.pop(id(urb), None) is not None:
            urb.complete(answer.status, answer.buffer[: answer.actual] if urb.is_in else b"")
