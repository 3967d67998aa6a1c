"""A pyusb backend whose bus is an exporter's: one board, its control transfers carried over the stream."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never

import usb.backend
import usb.core

from hil.jumpstarter.protocol.descriptors import Descriptors, as_namespace
from hil.jumpstarter.protocol.frames import FrameKind, Transfer

if TYPE_CHECKING:
    from types import SimpleNamespace

    from hil.jumpstarter.client.remote_session import RemoteSession

__all__ = ["RemoteBackend"]

LIST_LIMIT_S = 3.0
_NO_LIMIT_S = 60.0

_LIBUSB_CODES = {
    errno.EPIPE: -9,
    errno.ETIMEDOUT: -7,
    errno.ENODEV: -4,
    errno.EACCES: -3,
    errno.EBUSY: -6,
    errno.ENOENT: -5,
    errno.EIO: -1,
}
"""libusb's own numbers beside the errno, as pyusb's errors carry both."""


def _fail(number: int) -> Never:
    """Raise what pyusb raises for an errno."""
    kind = usb.core.USBTimeoutError if number == errno.ETIMEDOUT else usb.core.USBError
    raise kind(f"[remote] {errno.errorcode.get(number, number)}", _LIBUSB_CODES.get(number, -1), number)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A device as one look at the exporter's bus found it."""

    facts: Descriptors

    def configuration(self, index: int) -> Descriptors:
        configurations: list[Descriptors] = self.facts["configurations"]
        return configurations[index]

    def interface(self, number: int, alternate: int, configuration: int) -> Descriptors:
        """One alternate setting of an interface; raises IndexError where there is none, as pyusb expects."""
        every: list[Descriptors] = self.configuration(configuration)["interfaces"]
        settings = [one for one in every if one["bInterfaceNumber"] == number]
        return settings[alternate]


class RemoteBackend(usb.backend.IBackend):  # type: ignore[misc]  # pyusb ships no types
    """What libusb is on a host with a board of its own; see `usb.backend.IBackend`.

    A board is lost, not absent, when its exporter is: every method may raise `BoardLostError`.

    Args:
        session: The stream to the exporter.
    """

    def __init__(self, session: RemoteSession) -> None:
        super().__init__()
        self._session = session

    def enumerate_devices(self) -> list[_Listed]:
        """List what is on the exporter's bus now."""
        answer = self._session.ask(FrameKind.LIST, b"", LIST_LIMIT_S)
        return [_Listed(facts) for facts in answer.json] if answer is not None else []

    def get_parent(self, dev: _Listed) -> None:
        """Return None: what hubs the exporter has is its own business."""

    def get_device_descriptor(self, dev: _Listed) -> SimpleNamespace:
        """Return the device descriptor and its place on the exporter's bus."""
        found = as_namespace(dev.facts)
        found.port_numbers = None
        return found

    def get_configuration_descriptor(self, dev: _Listed, config: int) -> SimpleNamespace:
        """Return a configuration; raises IndexError where there is none."""
        return as_namespace(dev.configuration(config))

    def get_interface_descriptor(self, dev: _Listed, intf: int, alt: int, config: int) -> SimpleNamespace:
        """Return one alternate setting; raises IndexError where there is none."""
        every = sorted({one["bInterfaceNumber"] for one in dev.configuration(config)["interfaces"]})
        return as_namespace(dev.interface(every[intf], alt, config))

    def get_endpoint_descriptor(
        self, dev: _Listed, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        """Return one endpoint; raises IndexError where there is none."""
        return as_namespace(dev.interface(intf, alt, config)["endpoints"][ep])

    def open_device(self, dev: _Listed) -> _Listed:
        """Open it: the exporter does so with the first transfer, whose error then says why it cannot."""
        return dev

    def close_device(self, dev_handle: _Listed) -> None:
        """Close it."""

    def get_configuration(self, dev_handle: _Listed) -> int:
        """Return the value of its one configuration."""
        return int(dev_handle.configuration(0)["bConfigurationValue"])

    def ctrl_transfer(  # noqa: PLR0913, PLR0917 - pyusb's signature
        self,
        dev_handle: _Listed,
        bmRequestType: int,  # noqa: N803 - pyusb's name
        bRequest: int,  # noqa: N803 - as above
        wValue: int,  # noqa: N803 - as above
        wIndex: int,  # noqa: N803 - as above
        data: Any,  # noqa: ANN401 - array.array("B")
        timeout: int,
    ) -> int:
        """Do a control transfer; returns how many bytes were read into `data`, or written from it."""
        transfer = Transfer(
            dev_handle.facts["bus"],
            dev_handle.facts["address"],
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

    def _read(self, transfer: Transfer, into: Any) -> int:  # noqa: ANN401 - as above
        answer = self._result(transfer)
        memoryview(into).cast("B")[: len(answer)] = answer
        return len(answer)

    def _result(self, transfer: Transfer) -> bytes:
        limit_s = transfer.timeout_ms / 1000 if transfer.timeout_ms else _NO_LIMIT_S
        frame = self._session.ask(FrameKind.TRANSFER, transfer.to_bytes(), limit_s)
        if frame is None:
            _fail(errno.ETIMEDOUT)
        status, answer = frame.status_and_data
        if status:
            _fail(status)
        return answer
