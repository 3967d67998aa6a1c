"""The exporter's end of remote USB: the descriptors and control transfers of one board of this host.

A DUTLink needs no other kind of transfer. Errors travel as errno, and the run translates them as it would
those of its own bus.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from hil.dutlink.candidate import Candidate, candidates
from hil.dutlink.usb.backend import PYUSB_ERRORS, release
from hil.dutlink.usb.protocol import MOST_DATA_BYTES
from hil.errors import HilError, NoUsbBackendError
from hil.jumpstarter.protocol.board_description import Device, read_descriptors

if TYPE_CHECKING:
    from hil.dutlink.host import Host
    from hil.jumpstarter.protocol.board_description import Descriptors
    from hil.jumpstarter.protocol.frames import Transfer

__all__ = ["UsbService"]

_SERIAL_LIMIT_S = 2.0


class UsbService:
    """One board on the bus of this host.

    Args:
        host: The host.
        serial: Serial number of the board.
    """

    def __init__(self, host: Host, serial: str) -> None:
        self._host = host
        self._serial = serial
        self._serials: dict[tuple[int, int], str] = {}
        self._devices: dict[tuple[int, int], Device] = {}
        self._lock = threading.Lock()

    def list_devices(self) -> list[Descriptors]:
        """Return the board's descriptors, or an empty list if it is not on the bus now.

        Raises:
            NoUsbBackendError: libusb cannot be loaded.
        """
        with self._lock:
            return self._list()

    def _list(self) -> list[Descriptors]:
        found = candidates(self._host)
        ours = [one for one in found if self._is_ours(one, alone=len(found) == 1)]
        here = {_address(one.device): one.device for one in ours}
        for address, device in here.items():
            self._devices.setdefault(address, device)
        for address in self._devices.keys() - here.keys():
            del self._devices[address]
            self._serials.pop(address, None)
        return [read_descriptors(device) for device in here.values()]

    def transfer(self, transfer: Transfer) -> tuple[int, bytes]:
        """Do a control transfer; return an errno (0: no error) and the bytes read."""
        device = self._devices.get((transfer.bus, transfer.address))
        if device is None:
            return errno.ENODEV, b""
        if not transfer.reads and len(transfer.data) > MOST_DATA_BYTES:
            return errno.EPIPE, b""  # so many bytes would stop the board's USB
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
        """Return whether the device is the board.

        A device that does not answer is the board if it is the only one, or if it was the board before.
        """
        address = _address(candidate.device)
        if address not in self._serials:
            try:
                self._serials[address] = candidate.read_serial(_SERIAL_LIMIT_S)
            except NoUsbBackendError:
                raise
            except HilError:
                return alone
        return self._serials[address] == self._serial


def _address(device: Device) -> tuple[int, int]:
    return device.bus, device.address
