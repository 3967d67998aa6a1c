"""A pyusb backend for simulated boards. It behaves as libusb on Linux and uses USB/IP.

It raises the errors of libusb (`libusb_errors`), and keeps no state between two listings of the bus. Code
above this module cannot distinguish it from libusb.
"""

from __future__ import annotations

import array
import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
"""Simulated seconds until a stick appears, if its mux takes 3.5 s longer than usual."""

_Bytes = array.array  # pyusb passes and returns array.array("B")

_RECIPIENT_MASK = 0x1F
_TO_INTERFACE = 1
_TO_ENDPOINT = 2
_TYPE_MASK = 0x60
_VENDOR = 0x40
_IN = 0x80


class SimulatedHost(NamedTuple):
    """The host that a simulator simulates, with the attributes of `hil.dutlink.host.Host`.

    Attributes:
        label: Its name in reports.
        backend: Returns the pyusb backend; raises usb.core.NoBackendError under the fault `no_backend`.
        dev: The `/dev`-like folder.
        sys: The `/sys`-like folder.
        remote_stick: None, because its sticks are on this machine.
        stick_memory: None, because the ports of its sticks are not remembered.
        slowest_stick_s: Real seconds until the slowest stick appears.
    """

    label: str
    backend: Callable[[], SimulatedBackend]
    dev: Path
    sys: Path
    remote_stick: None = None
    stick_memory: None = None
    slowest_stick_s: float = _SLOWEST_STICK_S


def simulated_host(ready: Mapping[str, Any]) -> SimulatedHost:
    """Return the host of the simulator with this ready line."""
    count = len(ready["boards"])
    label = f"{count} simulated board{'s' if count != 1 else ''}"
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a server on all addresses is on loopback, too
    address = (anywhere.get(ready["bind"], ready["bind"]), int(ready["usbip_port"]))
    folders = Path(ready["dev"]), Path(ready["sys"])
    slowest_s = _SLOWEST_STICK_S / ready["speed"]
    return SimulatedHost(label, lambda: _get_backend(address), *folders, slowest_stick_s=slowest_s)


def _get_backend(address: tuple[str, int]) -> SimulatedBackend:
    backend = SimulatedBackend(address)
    backend.enumerate_devices()
    return backend


class _Device:
    """A device from one listing of the bus."""

    def __init__(self, record: DeviceRecord) -> None:
        self.record = record
        self.configuration: Configuration = parse_configuration_descriptor(record.descriptors[DEVICE_BYTES:])


class _Handle:
    """An open device and the interfaces that it claimed."""

    def __init__(self, device: _Device, channel: DeviceChannel) -> None:
        self.device = device
        self.channel = channel
        self.claimed: set[int] = set()

    def claim(self, interface: int) -> None:
        if interface not in self.claimed:
            check_status(self.channel.call(HostCall.CLAIM, interface))
            self.claimed.add(interface)


class SimulatedBackend(usb.backend.IBackend):  # type: ignore[misc]  # pyusb ships no types
    """The backend; `usb.backend.IBackend` documents the methods.

    Args:
        address: Address of the simulator's USB/IP server.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__()
        self._address = address

    @property
    def port(self) -> int:
        """TCP port of the simulator's USB/IP server."""
        return self._address[1]

    # listing and descriptors

    def enumerate_devices(self) -> list[_Device]:
        """Return the devices on the bus."""
        try:
            return [_Device(record) for record in host_list(self._address)]
        except RefusedError as error:
            message = "No backend available"
            raise usb.core.NoBackendError(message) from error

    def get_parent(self, dev: _Device) -> None:
        """Return None, because each simulated port is a root port."""

    def get_device_descriptor(self, dev: _Device) -> SimpleNamespace:
        """Return the device descriptor and the place on the bus; as with sysfs, this needs no permission."""
        found = parse_device_descriptor(dev.record.descriptors)
        found.bus, found.address = dev.record.busnum, dev.record.devnum
        found.speed = dev.record.identity.speed
        found.port_number = int(dev.record.busid.partition("-")[2])
        found.port_numbers = (found.port_number,)
        return found

    def get_configuration_descriptor(self, dev: _Device, config: int) -> SimpleNamespace:
        """Return the only configuration."""
        if config:
            raise_usb_error(-errno.ENOENT)
        return dev.configuration.descriptor

    def get_interface_descriptor(self, dev: _Device, intf: int, alt: int, config: int) -> SimpleNamespace:
        """Return one alternate setting; raise IndexError if there is none, as pyusb expects."""
        self.get_configuration_descriptor(dev, config)
        return dev.configuration.interfaces[intf][alt]

    def get_endpoint_descriptor(
        self, dev: _Device, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        """Return one endpoint; raise IndexError if there is none."""
        self.get_configuration_descriptor(dev, config)
        return dev.configuration.interfaces[intf][alt].endpoints[ep]

    # opening

    def open_device(self, dev: _Device) -> _Handle:
        """Open a device; raise EACCES if denied, ENODEV if it is gone, EIO if it is gone but still listed."""
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
        """Close the device, which releases its claims."""
        dev_handle.channel.close()

    def get_configuration(self, dev_handle: _Handle) -> int:
        """Return the value of the active configuration, as sysfs does, without a transfer."""
        check_status(dev_handle.channel.call(HostCall.DRIVER_ACTIVE, 0))
        return dev_handle.device.record.identity.configuration_value

    def set_configuration(self, dev_handle: _Handle, config_value: int) -> None:
        """Set the configuration; raise EBUSY while a kernel driver or a process has claimed an interface."""
        check_status(dev_handle.channel.call(HostCall.MAY_CONFIGURE, config_value))
        self._request(dev_handle, (0x00, 0x09, config_value, 0))

    def set_interface_altsetting(self, dev_handle: _Handle, intf: int, altsetting: int) -> None:
        """Set the alternate setting of a claimed interface."""
        if intf not in dev_handle.claimed:
            raise_usb_error(-errno.ENOENT)
        self._request(dev_handle, (0x01, 0x0B, altsetting, intf))

    def claim_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Claim an interface; raise EBUSY while a kernel driver or another process has claimed it."""
        dev_handle.claim(intf)

    def release_interface(self, dev_handle: _Handle, intf: int) -> None:
        """Release an interface."""
        dev_handle.claimed.discard(intf)
        check_status(dev_handle.channel.call(HostCall.RELEASE, intf))

    def clear_halt(self, dev_handle: _Handle, ep: int) -> None:
        """Clear the halt of an endpoint."""
        self._request(dev_handle, (0x02, 0x01, 0, ep))

    def reset_device(self, dev_handle: _Handle) -> None:
        """Reset the device, which takes 0.3 s; its address and this handle stay valid."""
        self._request(dev_handle, (0x23, 0x03, 4, 0))

    def is_kernel_driver_active(self, dev_handle: _Handle, intf: int) -> bool:
        """Return True if a kernel driver is bound to the interface."""
        return bool(check_status(dev_handle.channel.call(HostCall.DRIVER_ACTIVE, intf)))

    def detach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """Detach the kernel driver from an interface; its tty or disk vanishes."""
        check_status(dev_handle.channel.call(HostCall.DETACH_DRIVER, intf))

    def attach_kernel_driver(self, dev_handle: _Handle, intf: int) -> None:
        """Attach the kernel driver to an interface."""
        check_status(dev_handle.channel.call(HostCall.ATTACH_DRIVER, intf))

    # transfers

    def ctrl_transfer(  # noqa: PLR0913, PLR0917 - pyusb's signature
        self,
        dev_handle: _Handle,
        bmRequestType: int,  # noqa: N803 - pyusb's name
        bRequest: int,  # noqa: N803 - pyusb's name
        wValue: int,  # noqa: N803 - pyusb's name
        wIndex: int,  # noqa: N803 - pyusb's name
        data: _Bytes[int],
        timeout: int,
    ) -> int:
        """Make a control transfer; return the number of bytes read into `data` or written from it."""
        self._claim_recipient(dev_handle, bmRequestType, wIndex)
        length = len(data) * data.itemsize
        setup = bytes((bmRequestType, bRequest)) + b"".join(
            value.to_bytes(2, "little") for value in (wValue & 0xFFFF, wIndex & 0xFFFF, length)
        )
        return _transfer(dev_handle, bmRequestType & _IN, data, timeout, setup)

    def bulk_read(self, dev_handle: _Handle, ep: int, intf: int, buff: _Bytes[int], timeout: int) -> int:
        """Read from a bulk endpoint; return the number of bytes."""
        dev_handle.claim(intf)
        return _transfer(dev_handle, ep, buff, timeout)

    def bulk_write(self, dev_handle: _Handle, ep: int, intf: int, data: _Bytes[int], timeout: int) -> int:
        """Write to a bulk endpoint; return the number of bytes."""
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
        """Claim a request's recipient, as Linux does if a program did not; vendor requests need none."""
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
