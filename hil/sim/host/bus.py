"""The USB bus: which device is in which port, and whether the simulated host or a stock client has it.

A *stock client* is a standard USB/IP client, such as Linux' vhci_hcd. It takes a device away from the
simulated host. A process of the simulated host *shares* the device with others: it opens it as it would
through libusb.
"""

from __future__ import annotations

import errno
import itertools
from typing import TYPE_CHECKING, Protocol

from hil.sim.host.enumeration import enumerate_device
from hil.sim.interfaces import Clock, NoTimer, Timer, UsbDevice
from hil.sim.usbip.messages import DeviceRecord, ImportStatus
from hil.sim.usbip.urbs import HostCall

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attachment", "Claims", "UsbBus", "UsbPort"]

_DRIVEN_CLASSES = {0x02, 0x08, 0x0A}
"""CDC control, mass storage and CDC data: Linux binds cdc_acm and usb-storage to them."""


class Claims:
    """The claims of one device's interfaces, as Linux' usbfs keeps them.

    Each call returns 0 (or 1 for "yes") or a negative errno.

    Args:
        classes: Base class of each interface, in the order of their numbers.
        on_change: Called when a kernel driver was attached or detached.
    """

    def __init__(self, classes: list[int], on_change: Callable[[], None]) -> None:
        self._count = len(classes)
        self._native = {number for number, base in enumerate(classes) if base in _DRIVEN_CLASSES}
        self._drivers = set(self._native)
        self._holders: dict[int, object] = {}
        self._on_change = on_change

    def has_driver(self, interface: int) -> bool:
        """Return True if a kernel driver is bound to `interface`."""
        return interface in self._drivers

    def drop(self, holder: object) -> None:
        """Release the claims of a process that ended. Drivers that it detached stay detached, as on Linux."""
        self._holders = {number: other for number, other in self._holders.items() if other is not holder}

    def call(self, what: HostCall, interface: int, holder: object) -> int:
        """Execute a host call of a process."""
        if what is HostCall.MAY_CONFIGURE:
            return -errno.EBUSY if self._drivers or self._holders else 0
        if not 0 <= interface < self._count:
            return -errno.ENOENT
        return self._ACTIONS[what](self, interface, holder)

    def _claim(self, interface: int, holder: object) -> int:
        if interface in self._drivers or self._holders.get(interface, holder) is not holder:
            return -errno.EBUSY
        self._holders[interface] = holder
        return 0

    def _release(self, interface: int, holder: object) -> int:
        if self._holders.get(interface) is not holder:
            return -errno.ENOENT
        del self._holders[interface]
        return 0

    def _active(self, interface: int, _holder: object) -> int:
        return int(interface in self._drivers)

    def _detach(self, interface: int, _holder: object) -> int:
        if interface not in self._drivers:
            return -errno.ENOENT
        # cdc_acm drives two interfaces and releases both together
        self._drivers.clear()
        self._on_change()
        return 0

    def _attach(self, interface: int, _holder: object) -> int:
        if interface in self._drivers or interface in self._holders:
            return -errno.EBUSY
        if interface not in self._native or self._native & self._holders.keys():
            return -errno.ENOENT
        self._drivers = set(self._native)
        self._on_change()
        return 0

    _ACTIONS = {  # noqa: RUF012 - a table of methods, never changed
        HostCall.CLAIM: _claim,
        HostCall.RELEASE: _release,
        HostCall.DRIVER_ACTIVE: _active,
        HostCall.DETACH_DRIVER: _detach,
        HostCall.ATTACH_DRIVER: _attach,
    }


GONE_BUT_LISTED_S = 0.5
"""Seconds for which a host still lists an unplugged device: libusb waits for udev, which is slow."""

RESET_S = 0.3
"""Duration of a reset that a program requests."""


class Attachment(Protocol):
    """A connection that has imported a device."""

    def detach(self) -> None:
        """End the connection, because the device is gone."""
        ...


class UsbPort:
    """A port of the bus, with or without a device.

    Attributes:
        busid: Its bus id, such as "1-1".
        device: The device that is plugged in, or None.
        claims: Claims of the device's interfaces on the simulated host; None while the host does not have the
            device.
        denied: Whether processes of the simulated host may not open the device.
        listeners: Functions called after each change of the device or driver that the host has.
    """

    def __init__(self, bus: UsbBus, busid: str) -> None:
        self.busid = busid
        self.device: UsbDevice | None = None
        self.claims: Claims | None = None
        self.denied = False
        self.listeners: list[Callable[[], None]] = []
        self._bus = bus
        self._devnum = 0
        self._descriptors = b""
        self._listed_still: DeviceRecord | None = None
        self._ghost: Timer = NoTimer()
        self._stock: Attachment | None = None
        self._sharers: set[Attachment] = set()

    @property
    def record(self) -> DeviceRecord | None:
        """The device's record for a listing, or None without a device."""
        if self.device is None:
            return None
        number = int(self.busid.partition("-")[0])
        return DeviceRecord(self.busid, number, self._devnum, self.device.identity, self._descriptors)

    @property
    def host_record(self) -> DeviceRecord | None:
        """The record that the simulated host lists, or None; it vanishes a little late."""
        return self.record if self.claims is not None else self._listed_still

    @property
    def stock_record(self) -> DeviceRecord | None:
        """The record that stock clients may import, or None if one has the device."""
        return self.record if self._stock is None else None

    def has_driver(self, interface: int) -> bool:
        """Return True if the simulated host has the device and a kernel driver on `interface`."""
        return self.claims is not None and self.claims.has_driver(interface)

    def plug(self, device: UsbDevice) -> None:
        """Plug a device in. The host sees it after it has read the descriptors."""
        self._devnum = self._bus.next_address()
        self._forget_ghost()
        self.device = device
        self._host_takes()

    def unplug(self) -> None:
        """Unplug the device, and end all connections that have imported it."""
        self._listed_still = self.host_record
        self._ghost.cancel()
        self._ghost = self._bus.clock.call_later(GONE_BUT_LISTED_S, self._forget_ghost)
        attached = [*self._sharers, *([self._stock] if self._stock else [])]
        self._sharers.clear()
        self._stock = None
        self.device = None
        self._host_loses()
        for attachment in attached:
            attachment.detach()

    def import_stock(self, attachment: Attachment) -> ImportStatus:
        """Give the device to a stock client alone; the simulated host loses it."""
        if self.device is None:
            return ImportStatus.NO_DEVICE
        if self._stock is not None:
            return ImportStatus.BUSY
        sharers, self._sharers = self._sharers, set()
        self._stock = attachment
        self._host_loses()
        for sharer in sharers:
            sharer.detach()
        self.device.reset()
        return ImportStatus.OK

    def import_shared(self, attachment: Attachment) -> ImportStatus:
        """Open the device for a process of the simulated host, beside other processes."""
        if self.device is None:
            return ImportStatus.NO_DEVICE
        if self.claims is None:
            return ImportStatus.BUSY
        if self.denied:
            return ImportStatus.DENIED
        self._sharers.add(attachment)
        return ImportStatus.OK

    def release(self, attachment: Attachment) -> None:
        """End an import; after a stock client the simulated host takes the device back."""
        self._sharers.discard(attachment)
        if self.claims is not None:
            self.claims.drop(attachment)
        if self._stock is attachment:
            self._stock = None
            self._host_takes()

    def reset(self, done: Callable[[], None]) -> None:
        """Reset the device for a program; call `done` when it is configured again."""
        device = self.device

        def reset_now() -> None:
            if device is self.device and device is not None:
                enumerate_device(device, lambda _descriptors: done())

        self._bus.clock.call_later(RESET_S, reset_now)

    def _host_takes(self) -> None:
        device = self.device
        if device is None:
            return

        def enumerated(descriptors: bytes) -> None:
            if descriptors and device is self.device and self._stock is None:
                self._descriptors = descriptors
                self.claims = Claims([base for base, _, _ in device.identity.interfaces], self._changed)
                self._changed()

        enumerate_device(device, enumerated)

    def _host_loses(self) -> None:
        self.claims = None
        self._changed()

    def _forget_ghost(self) -> None:
        self._listed_still = None

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()


class UsbBus:
    """The bus with its ports: boards at `1-N`, sticks at `2-N`.

    Attributes:
        clock: Simulated time.
        no_backend: Fault: libusb cannot be loaded on the simulated host.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.no_backend = False
        self._ports: dict[str, UsbPort] = {}
        self._addresses = itertools.cycle(range(2, 128))

    def add_port(self, busid: str) -> UsbPort:
        """Add an empty port."""
        port = self._ports[busid] = UsbPort(self, busid)
        return port

    def port(self, busid: str) -> UsbPort | None:
        """Return the port with this bus id, or None."""
        return self._ports.get(busid)

    def stock_list(self) -> list[DeviceRecord]:
        """Return the records for a stock client."""
        return [port.stock_record for port in self._ports.values() if port.stock_record]

    def host_list(self) -> list[DeviceRecord]:
        """Return the records that libusb would list on the simulated host."""
        return [port.host_record for port in self._ports.values() if port.host_record]

    def next_address(self) -> int:
        """Return the next device address, from 2 to 127."""
        return next(self._addresses)
