"""The exporter's end of remote USB: one board of this host, as pyusb sees it, for whoever is its tenant.

Only control transfers: all that a DUTLink is told goes through them. Nothing is translated here; the run at
the other end reads error numbers as it would read its own bus's.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from hil.dutlink.candidate import Candidate, candidates
from hil.dutlink.usb.backend import PYUSB_ERRORS, release
from hil.dutlink.usb.protocol import MOST_DATA_BYTES
from hil.errors import HilError, NoUsbBackendError
from hil.jumpstarter.protocol.descriptors import Device, read_descriptors

if TYPE_CHECKING:
    from hil.dutlink.host import Host
    from hil.jumpstarter.protocol.descriptors import Descriptors
    from hil.jumpstarter.protocol.frames import Transfer

__all__ = ["UsbService"]

_SERIAL_LIMIT_S = 2.0


class UsbService:
    """One board on the bus.

    Args:
        host: Where it is plugged in.
        serial: Which one it is.
    """

    def __init__(self, host: Host, serial: str) -> None:
        self._host = host
        self._serial = serial
        self._serials: dict[tuple[int, int], str] = {}
        self._devices: dict[tuple[int, int], Device] = {}
        self._lock = threading.Lock()

    def list_devices(self) -> list[Descriptors]:
        """Return the board as it is listed now; nothing when it is not on the bus.

        Raises:
            NoUsbBackendError: libusb cannot be loaded.
        """
        with self._lock:
            return self._look()

    def _look(self) -> list[Descriptors]:
        found = candidates(self._host)
        ours = [one for one in found if self._is_ours(one, alone=len(found) == 1)]
        here = {_place(one.device): one.device for one in ours}
        for place, device in here.items():
            self._devices.setdefault(place, device)
        for place in self._devices.keys() - here.keys():
            del self._devices[place]
            self._serials.pop(place, None)
        return [read_descriptors(device) for device in here.values()]

    def transfer(self, transfer: Transfer) -> tuple[int, bytes]:
        """Do a control transfer; returns an error number (0: none), and what was read."""
        device = self._devices.get((transfer.bus, transfer.address))
        if device is None:
            return errno.ENODEV, b""
        if not transfer.reads and len(transfer.data) > MOST_DATA_BYTES:
            return errno.EPIPE, b""  # refused here: it would stop the board's USB
        payload = transfer.length if transfer.reads else transfer.data
        try:
            answer = device.ctrl_transfer(
                transfer.request_type,
                transfer.request,
                transfer.value,
                transfer.index,
                payload,
                transfer.timeout_ms,
            )
        except PYUSB_ERRORS as error:
            number = getattr(error, "errno", None) or errno.EIO
            if number == errno.ENODEV:
                release(self._devices.pop((transfer.bus, transfer.address)))
            return number, b""
        return 0, bytes(answer) if transfer.reads else b""

    def _is_ours(self, candidate: Candidate, *, alone: bool) -> bool:
        """Whether it is the board; one that does not answer now is, if it is the only one or was before."""
        place = _place(candidate.device)
        if place not in self._serials:
            try:
                self._serials[place] = candidate.read_serial(_SERIAL_LIMIT_S)
            except NoUsbBackendError:
                raise
            except HilError:
                return alone
        return self._serials[place] == self._serial


def _place(device: Device) -> tuple[int, int]:
    return device.bus, device.address
