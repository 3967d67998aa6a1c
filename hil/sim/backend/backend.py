"""A pyusb backend that reaches simulated boards: libusb on Linux, as a program sees it, over USB/IP.

Errors are those of libusb (`libusb_errors`); nothing is remembered between two looks at the bus. Above this
module nothing can tell that no libusb is there.
"""

from __future__ import annotations

import array
import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import usb.backend
import usb.core

from hil.sim.backend.descriptor_tree import (
    DEVICE_BYTES,
    Configuration,
    parse_configuration_descriptor,
    parse_device_descriptor,
)
from hil.sim.backend.libusb_errors import check_status, raise_usb_error
from hil.sim.usbip.client import DeviceChannel, RefusedError, host_list
from hil.sim.usbip.messages import DeviceRecord, ImportStatus
from hil.sim.usbip.urbs import HostCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import SimpleNamespace

__all__ = ["SimulatedBackend", "SimulatedHost", "simulated_host"]

_SLOWEST_STICK_S = 8.0
"""Simulated seconds until a stick is there behind a mux that takes 3.5 s longer than the usual one."""

_Bytes = array.array  # pyusb passes and returns array.array("B")

_RECIPIENT_MASK = 0x1F
_TO_INTERFACE = 1
_TO_ENDPOINT = 2
_TYPE_MASK = 0x60
_VENDOR = 0x40
_IN = 0x80


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """Where simulated boards are plugged in.

    Attributes:
        label: What reports call it.
        backend: Makes the pyusb backend; raises usb.core.NoBackendError under the fault `no_backend`.
        dev: The folder where device nodes appear.
        sys: The folder where its kernel tells about disks.
        far_stick: None: its sticks are on this machine.
        stick_memory: None: nothing is remembered of its sticks' sockets.
        slowest_stick_s: Real seconds until a stick has come that is there; see `hil.dutlink.host.Host`.
    """

    label: str
    backend: Callable[[], SimulatedBackend]
    dev: Path
    sys: Path
    far_stick: None = None
    stick_memory: None = None
    slowest_stick_s: float = _SLOWEST_STICK_S


def simulated_host(ready: Mapping[str, Any]) -> SimulatedHost:
    """Return the host that the simulator with this ready line simulates."""
    count = len(ready["boards"])
    label = f"{count} simulated board{'s' if count != 1 else ''}"
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - listening there means any address will do
    address = (anywhere.get(ready["bind"], ready["bind"]), int(ready["usbip_port"]))
    folders = Path(ready["dev"]), Path(ready["sys"])
    slowest_s = _SLOWEST_STICK_S / ready["speed"]
    return SimulatedHost(label, lambda: _get_backend(address), *folders, slowest_stick_s=slowest_s)


def _get_backend(address: tuple[str, int]) -> SimulatedBackend:
    backend = SimulatedBackend(address)
    backend.enumerate_devices()
    return backend


class _Device:
    """A device as one look at the bus found it."""

    def __init__(self, record: DeviceRecord) -> None:
        self.record = record
        self.configuration: Configuration = parse_configuration_descriptor(record.descriptors[DEVICE_BYTES:])


class _Handle:
    """An opened device."""

    def __init__(self, device: _Device, channel: DeviceChannel) -> None:
        self.device = device
        self.channel = channel
        self.claimed: set[int] = set()

    def claim(self, interface: int) -> None:
        if interface not in self.claimed:
            check_status(self.channel.call(HostCall.CLAIM, interface))
            self.claimed.add(interface)


class SimulatedBackend(usb.backend.IBackend):  # type: ignore[misc]  # pyusb ships no types
    """What libusb is on a host with real boards; see `usb.backend.IBackend` for every method's meaning.

    Args:
        address: Of the simulator's USB/IP server.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self._address = address

    @property
    def port(self) -> int:
        """The port of the simulator's USB/IP server."""
        return self._address[1]

    # what is there

    def enumerate_devices(self) -> list[_Device]:
        """List what is on the bus now."""
        try:
            return [_Device(record) for record in host_list(self._address)]
        except RefusedError as error:
            message = "No backend available"
            raise usb.core.NoBackendError(message) from error

    def get_parent(self, dev: _Device) -> None:
        """Return None: a simulated port is a root port."""

    def get_device_descriptor(self, dev: _Device) -> SimpleNamespace:
        """Return the device descriptor and its place on the bus; like sysfs, it needs no permission."""
        found = parse_device_descriptor(dev.record.descriptors)
        found.bus, found.address = dev.record.busnum, dev.record.devnum
        found.speed = dev.record.identity.speed
        found.port_number = int(dev.record.busid.partition("-")[2])
        found.port_numbers = (found.port_number,)
        return found

    def get_configuration_descriptor(self, dev: _Device, config: int) -> SimpleNamespace:
        """Return the one configuration."""
        if config:
            raise_usb_error(-errno.ENOENT)
        return dev.configuration.descriptor

    def get_interface_descriptor(self, dev: _Device, intf: int, alt: int, config: int) -> SimpleNamespace:
        """Return one alternate setting; raises IndexError where there is none, as pyusb expects."""
        self.get_configuration_descriptor(dev, config)
        return dev.configuration.interfaces[intf][alt]

    def get_endpoint_descriptor(
        self, dev: _Device, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        """Return one endpoint; raises IndexError where there is none."""
        self.get_configuration_descriptor(dev, config)
        return dev.configuration.interfaces[intf][alt].endpoints[ep]

    # opening

    def open_device(self, dev: _Device) -> _Handle:
        """Open it; EACCES when that is denied, ENODEV when it is gone, EIO while its node is still there."""
        try:
            return _Handle(dev, DeviceChannel(self._address, dev.record))
        except RefusedError as error:
            if error.status == ImportStatus.DENIED:
                raise_usb_error(-errno.EACCES)
            raise_usb_error(-errno.EIO if self._is_listed(dev.record) else -errno.ENODEV)

    def _is_listed(self, record: DeviceRecord) -> bool:
        listed = [(one.busid, one.devnum) for one in host_list(self._address)]
        return (record.busid, record.devnum) in listed

    def close_device(self, dev_handle: _Handle) -> None:
        """Close it; what it had claimed is free."""
        dev_handle.channel.close()

    def get_configuration(self, dev_handle: _Handle) -> int:
        """Return the value of the active configuration, as sysfs tells it without asking the device."""
        check_status(dev_handle.channel.call(HostCall.DRIVER_ACTIVE, 0))
        return dev_handle.device.record.identity.configuration_value

    def set_configuration(self, dev_handle: _Handle, config_value: int) -> None:
        """Set it; EBUSY while a kernel driver or anybody else has an interface."""
        check_status(dev_handle.channel.call(HostCall.MAY_CONFIGURE, config_value))
        self._request(dev_handle, (0x00, 0x09, config_value, 0))

    def set_interface_altsetting(self, dev_handle: _Handle, intf: int, altsetting: int) -> None:
        """Set it; the interface has to be claimed."""
        if intf not in dev_handle.claimed:
            raise_usb_error(-errno.ENOENT)
        self._request(dev_handle, (0x01, 0x0B, altsetting, intf))

    def claim_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Claim it; EBUSY while a kernel driver or another process has it."""
        dev_handle.claim(intf)

    def release_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Release it."""
        dev_handle.claimed.discard(intf)
        check_status(dev_handle.channel.call(HostCall.RELEASE, intf))

    def clear_halt(self, dev_handle: _Handle, ep: int) -> None:
        """End an endpoint's STALL."""
        self._request(dev_handle, (0x02, 0x01, 0, ep))

    def reset_device(self, dev_handle: _Handle) -> None:
        """Reset it, which takes 0.3 s; its address and this handle stay."""
        self._request(dev_handle, (0x23, 0x03, 4, 0))

    def is_kernel_driver_active(self, dev_handle: _Handle, intf: int) -> bool:
        """Whether a kernel driver has the interface."""
        return bool(check_status(dev_handle.channel.call(HostCall.DRIVER_ACTIVE, intf)))

    def detach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """Take the interface from its kernel driver; a tty or disk that it made is gone."""
        check_status(dev_handle.channel.call(HostCall.DETACH_DRIVER, intf))

    def attach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """Give it back."""
        check_status(dev_handle.channel.call(HostCall.ATTACH_DRIVER, intf))

    # transfers

    def ctrl_transfer(  # noqa: PLR0913, PLR0917 - pyusb's signature
        self,
        dev_handle: _Handle,
        bmRequestType: int,  # noqa: N803 - pyusb's name
        bRequest: int,  # noqa: N803 - as above
        wValue: int,  # noqa: N803 - as above
        wIndex: int,  # noqa: N803 - as above
        data: _Bytes[int],
        timeout: int,
    ) -> int:
        """Do a control transfer; returns how many bytes were read into `data`, or written from it."""
        self._claim_recipient(dev_handle, bmRequestType, wIndex)
        length = len(data) * data.itemsize
        setup = bytes((bmRequestType, bRequest)) + b"".join(
            value.to_bytes(2, "little") for value in (wValue & 0xFFFF, wIndex & 0xFFFF, length)
        )
        return _transfer(dev_handle, bmRequestType & _IN, data, timeout, setup)

    def bulk_read(self, dev_handle: _Handle, ep: int, intf: int, buff: _Bytes[int], timeout: int) -> int:
        """Read from an endpoint; returns how many bytes came."""
        dev_handle.claim(intf)
        return _transfer(dev_handle, ep, buff, timeout)

    def bulk_write(self, dev_handle: _Handle, ep: int, intf: int, data: _Bytes[int], timeout: int) -> int:
        """Write to an endpoint; returns how many bytes went."""
        dev_handle.claim(intf)
        return _transfer(dev_handle, ep, data, timeout)

    def intr_read(self, dev_handle: _Handle, ep: int, intf: int, buff: _Bytes[int], timeout: int) -> int:
        """Read from an interrupt endpoint."""
        return self.bulk_read(dev_handle, ep, intf, buff, timeout)

    def intr_write(self, dev_handle: _Handle, ep: int, intf: int, data: _Bytes[int], timeout: int) -> int:
        """Write to an interrupt endpoint."""
        return self.bulk_write(dev_handle, ep, intf, data, timeout)

    def _request(self, handle: _Handle, setup: tuple[int, int, int, int]) -> None:
        self.ctrl_transfer(handle, *setup, array.array("B"), 5000)

    def _claim_recipient(self, handle: _Handle, request_type: int, index: int) -> None:
        """Claim what a request goes to, as Linux does for a program that forgot; vendor requests are free."""
        recipient = request_type & _RECIPIENT_MASK
        if request_type & _TYPE_MASK == _VENDOR:
            return
        if recipient == _TO_INTERFACE:
            handle.claim(index & 0xFF)
        elif recipient == _TO_ENDPOINT:
            interface = handle.device.configuration.interface_of(index & 0xFF)
            if interface is not None:
                handle.claim(interface)


def _transfer(
    handle: _Handle, endpoint: int, data: _Bytes[int], timeout_ms: int, setup: bytes = bytes(8)
) -> int:
    is_in = bool(endpoint & _IN)
    length = len(data) * data.itemsize
    status, answer = handle.channel.transfer(
        endpoint,
        b"" if is_in else data.tobytes(),
        length,
        setup=setup,
        timeout_s=timeout_ms / 1000 if timeout_ms else None,
    )
    check_status(status)
    if is_in:
        memoryview(data).cast("B")[: len(answer)] = answer
        return len(answer)
    return length
