"""The requests that make a board safe, and the proof that the board accepted each of them.

A test may replace any method of the driver, and may never put it back: a mock that is not stopped. So a
method that returned proves nothing. What counts is which requests the board accepted. Those that are missing
are sent here, straight to the device. The board cannot tell its supply, pins and mux; its answer to a last
request shows that the device is no replacement either.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.usb.backend import PYUSB_ERRORS
from hil.dutlink.usb.error_mapping import ErrorSource, translate
from hil.dutlink.usb.firmware import FirmwareVersion
from hil.dutlink.usb.protocol import (
    REPLY_SIZE,
    VENDOR_IN,
    VENDOR_OUT,
    PinValue,
    PowerAction,
    ReadKey,
    Request,
    StateByte,
    StorageAction,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hil.dutlink.usb.access import Access
    from hil.dutlink.usb.backend import Device

__all__ = ["SafeProof", "SafeRequests"]

_LOG = logging.getLogger(__name__)

_LIMIT_MS = 2000
_DETACH: Final = (Request.STORAGE, StorageAction.OFF, b"")
_SAFE: Final = (
    (Request.POWER, PowerAction.FORCE_OFF, b""),
    _DETACH,
    *((Request.SET_PIN, pin, bytes([StateByte.FLOATING])) for pin in PinValue),
)
_CHANGES: Final = frozenset({Request.POWER, Request.STORAGE, Request.SET_PIN})


@dataclass(frozen=True, slots=True)
class SafeProof:
    """Proof that a board accepted all requests that make it safe; only `SafeRequests.complete` makes it.

    Attributes:
        serial: The board.
    """

    serial: str


class SafeRequests:
    """What one link last had its board do, and the requests that are missing for a safe board.

    Args:
        device: pyusb's device.
        interface: Number of the control interface.
        access: Permission to use the board, which every request checks.
        lock: Keeps other threads' requests out.
    """

    def __init__(
        self, device: Device, interface: int, access: Access, lock: AbstractContextManager[object]
    ) -> None:
        self._device = device
        self._interface = interface
        self._access = access
        self._lock = lock
        self._accepted: dict[tuple[int, int], tuple[int, bytes]] = {}

    def note(self, request: int, value: int, data: bytes) -> None:
        """Note a request with data for the board that the board has just accepted."""
        if request in _CHANGES:
            self._accepted[_key(request, value)] = (value, data)

    def forget(self) -> None:
        """Forget the requests: other programs, and the board's shell, may have changed the board since."""
        self._accepted.clear()

    def complete(self, *, leave_stick: bool = False) -> SafeProof:
        """Send the requests that the board has not accepted since `forget`, and prove that it answers.

        Args:
            leave_stick: Leave the stick where it is.

        Raises:
            BoardFaultError, BoardLostError: The board did not accept a request, or does not answer as one.
        """
        wanted = [one for one in _SAFE if one != _DETACH or not leave_stick]
        with self._lock:
            missing = [one for one in wanted if self._accepted.get(_key(one[0], one[1])) != one[1:]]
            for request, value, data in missing:
                self._transfer(VENDOR_OUT, request, value, data)
                self.note(request, value, data)
            FirmwareVersion.parse(self._transfer(VENDOR_IN, Request.READ, ReadKey.VERSION, REPLY_SIZE))
        if missing:
            _LOG.warning(
                "board %s: methods of hil are replaced: %d requests were sent without them",
                self._access.serial,
                len(missing),
            )
        return SafeProof(self._access.serial)

    def read_power(self) -> bytes:
        """Return the reply to a power request, from a new snapshot; errors as `complete`."""
        with self._lock:
            self._transfer(VENDOR_OUT, Request.REFRESH, 0, b"")
            return self._transfer(VENDOR_IN, Request.READ, ReadKey.POWER, REPLY_SIZE)

    def _transfer(self, kind: int, request: Request, value: int, payload: bytes | int) -> bytes:
        try:
            with self._access:
                reply = self._device.ctrl_transfer(kind, request, value, self._interface, payload, _LIMIT_MS)
        except PYUSB_ERRORS as error:
            serial = self._access.serial
            what = f"board {serial}: {request.name.lower()} request (value {value}) failed"
            raise translate(error, ErrorSource.USB, what, serial=serial) from error
        return bytes(reply) if kind == VENDOR_IN else b""


def _key(request: int, value: int) -> tuple[int, int]:
    """Return what a request changes: supply, mux, or one pin."""
    return request, value if request == Request.SET_PIN else 0
