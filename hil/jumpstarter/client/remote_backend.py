"""A pyusb backend for the USB bus of an exporter: control transfers travel over the run's session."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never

import usb.backend
import usb.core

from hil.jumpstarter.protocol.board_description import Descriptors, as_namespace
from hil.jumpstarter.protocol.frames import FrameKind, Transfer

if TYPE_CHECKING:
    from types import SimpleNamespace

    from hil.jumpstarter.client.remote_session import RemoteSession

__all__ = ["RemoteBackend"]

LIST_LIMIT_S = 3.0
_UNLIMITED_S = 60.0
"""Seconds to wait for a transfer that has no time limit of its own."""

_LIBUSB_CODES = {
    errno.EPIPE: -9,
    errno.ETIMEDOUT: -7,
    errno.ENODEV: -4,
    errno.EACCES: -3,
    errno.EBUSY: -6,
    errno.ENOENT: -5,
    errno.EIO: -1,
}
"""libusb's error codes by errno: pyusb's errors have both."""


def _fail(number: int) -> Never:
    """Raise the error that pyusb raises for an errno."""
    kind = usb.core.USBTimeoutError if number == errno.ETIMEDOUT else usb.core.USBError
    raise kind(f"[remote] {errno.errorcode.get(number, number)}", _LIBUSB_CODES.get(number, -1), number)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A device in one listing of the exporter's bus."""

    descriptors: Descriptors

    def configuration(self, index: int) -> Descriptors:
        configurations: list[Descriptors] = self.descriptors["configurations"]
        return configurations[index]

    def interface(self, number: int, alternate: int, configuration: int) -> Descriptors:
        """Return an alternate setting of an interface; raise IndexError if there is none, as pyusb needs."""
        every: list[Descriptors] = self.configuration(configuration)["interfaces"]
        settings = [one for one in every if one["bInterfaceNumber"] == number]
        return settings[alternate]


class RemoteBackend(usb.backend.IBackend):  # type: ignore[misc]  # pyusb ships no types
    """The USB bus of an exporter, in place of libusb; see `usb.backend.IBackend`.

    Every method may raise `BoardLostError`: if the exporter is lost, so is its board.

    Args:
        session: The run's session at the exporter.
    """

    def __init__(self, session: RemoteSession) -> None:
        super().__init__()
        self._session = session

    def enumerate_devices(self) -> list[_Listed]:
        """List the devices that are on the exporter's bus now."""
        answer = self._session.request(FrameKind.LIST, b"", LIST_LIMIT_S)
        return [_Listed(descriptors) for descriptors in answer.json] if answer is not None else []

    def get_parent(self, dev: _Listed) -> None:
        """Return None: the exporter's hubs do not matter to a run."""

    def get_device_descriptor(self, dev: _Listed) -> SimpleNamespace:
        """Return the device descriptor, with bus and address on the exporter's host."""
        descriptor = as_namespace(dev.descriptors)
        descriptor.port_numbers = None
        return descriptor

    def get_configuration_descriptor(self, dev: _Listed, config: int) -> SimpleNamespace:
        """Return a configuration; raise IndexError if there is none."""
        return as_namespace(dev.configuration(config))

    def get_interface_descriptor(self, dev: _Listed, intf: int, alt: int, config: int) -> SimpleNamespace:
        """Return an alternate setting; raise IndexError if there is none."""
        every = sorted({one["bInterfaceNumber"] for one in dev.configuration(config)["interfaces"]})
        return as_namespace(dev.interface(every[intf], alt, config))

    def get_endpoint_descriptor(
        self, dev: _Listed, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        """Return an endpoint; raise IndexError if there is none."""
        return as_namespace(dev.interface(intf, alt, config)["endpoints"][ep])

    def open_device(self, dev: _Listed) -> _Listed:
        """Do nothing: the exporter opens the device for the first transfer, which raises if that fails."""
        return dev

    def close_device(self, dev_handle: _Listed) -> None:
        """Do nothing: the exporter keeps the device open."""

    def get_configuration(self, dev_handle: _Listed) -> int:
        """Return the value of the device's only configuration."""
        return int(dev_handle.configuration(0)["bConfigurationValue"])

    def ctrl_transfer(  # noqa: PLR0913, PLR0917 - pyusb's signature
        self,
        dev_handle: _Listed,
        bmRequestType: int,  # noqa: N803 - pyusb's name
        bRequest: int,  # noqa: N803 - pyusb's name
        wValue: int,  # noqa: N803 - pyusb's name
        wIndex: int,  # noqa: N803 - pyusb's name
        data: Any,  # noqa: ANN401 - array.array("B")
        timeout: int,
    ) -> int:
        """Do a control transfer; return how many bytes were read into `data`, or written from it."""
        transfer = Transfer(
            dev_handle.descriptors["bus"],
            dev_handle.descriptors["address"],
            bmRequestType,
            bRequest,
            wValue & 0xFFFF,
            wIndex & 0xFFFF,
            len(data),
            timeout,
        )
        if transfer.reads:
            return self._read(transfer, data)
        self._result(Transfer.from_bytes(transfer.to_bytes() + data.tobytes()))
        return len(data)

    def _read(self, transfer: Transfer, into: Any) -> int:  # noqa: ANN401 - array.array("B")
        answer = self._result(transfer)
        memoryview(into).cast("B")[: len(answer)] = answer
        return len(answer)

    def _result(self, transfer: Transfer) -> bytes:
        limit_s = transfer.timeout_ms / 1000 if transfer.timeout_ms else _UNLIMITED_S
        frame = self._session.request(FrameKind.TRANSFER, transfer.to_bytes(), limit_s)
        if frame is None:
            _fail(errno.ETIMEDOUT)
        status, answer = frame.status_and_data
        if status:
            _fail(status)
        return answer
