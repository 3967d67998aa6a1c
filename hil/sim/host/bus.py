"""What is plugged in where, and who has it: the simulated host, or a stock USB/IP client."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

from hil.sim.host.claims import Claims
from hil.sim.host.enumeration import enumerate_device
from hil.sim.interfaces import Clock, NoTimer, Timer, UsbDevice
from hil.sim.usbip.messages import DeviceRecord, ImportStatus

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attachment", "UsbBus", "UsbPort"]

GONE_BUT_LISTED_S = 0.5
"""How long a host still lists a device after it was unplugged: libusb follows udev, which takes its time."""

RESET_S = 0.3
"""How long a reset takes that a program asks for."""


class Attachment(Protocol):
    """A connection that has a device imported."""

    def detach(self) -> None:
        """The device is gone: end the connection."""
        ...


class UsbPort:
    """A socket of the bus, with or without a device in it.

    Attributes:
        busid: Its name, "1-1".
        device: What is plugged in, or None.
        claims: Who holds which interface on the simulated host; None while the host does not have the device.
        denied: Opening it is not permitted (shared imports only).
        listeners: Called after every change of what the host has.
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
        """The device as a list names it; None where nothing is plugged in."""
        if self.device is None:
            return None
        number = int(self.busid.partition("-")[0])
        return DeviceRecord(self.busid, number, self._devnum, self.device.identity, self._descriptors)

    @property
    def host_record(self) -> DeviceRecord | None:
        """The device as the simulated host lists it: not while a stock client has it; gone a little late."""
        return self.record if self.claims is not None else self._listed_still

    @property
    def stock_record(self) -> DeviceRecord | None:
        """The device as a stock client may import it."""
        return self.record if self._stock is None else None

    def has_driver(self, interface: int) -> bool:
        """Whether the simulated host has the device, and a driver of its own on `interface`."""
        return self.claims is not None and self.claims.has_driver(interface)

    def plug(self, device: UsbDevice) -> None:
        """Plug `device` in; the host sees it once it has read its descriptors."""
        self._devnum = self._bus.next_address()
        self._forget_ghost()
        self.device = device
        self._host_takes()

    def unplug(self) -> None:
        """Pull the device out; every connection that has it ends."""
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
        """A stock client takes the device away from the host, for itself alone."""
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
        """A process of the simulated host opens the device, beside others."""
        if self.device is None:
            return ImportStatus.NO_DEVICE
        if self.claims is None:
            return ImportStatus.BUSY
        if self.denied:
            return ImportStatus.DENIED
        self._sharers.add(attachment)
        return ImportStatus.OK

    def release(self, attachment: Attachment) -> None:
        """A connection is over; after a stock client the host takes the device back."""
        self._sharers.discard(attachment)
        if self.claims is not None:
            self.claims.drop(attachment)
        if self._stock is attachment:
            self._stock = None
            self._host_takes()

    def reset(self, done: Callable[[], None]) -> None:
        """A program resets the device; `done` is called once it is configured again."""
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
    """All ports; boards are at `1-N`, sticks at `2-N`.

    Attributes:
        clock: Simulated time.
        no_backend: As if libusb could not be loaded on the simulated host.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.no_backend = False
        self._ports: dict[str, UsbPort] = {}
        self._addresses = itertools.cycle(range(2, 128))

    def add_port(self, busid: str) -> UsbPort:
        """Make an empty port."""
        port = self._ports[busid] = UsbPort(self, busid)
        return port

    def port(self, busid: str) -> UsbPort | None:
        """Return the port of that name."""
        return self._ports.get(busid)

    def stock_list(self) -> list[DeviceRecord]:
        """What a stock client is told."""
        return [port.stock_record for port in self._ports.values() if port.stock_record]

    def host_list(self) -> list[DeviceRecord]:
        """What the simulated host's own libusb would list."""
        return [port.host_record for port in self._ports.values() if port.host_record]

    def next_address(self) -> int:
        """Return an address for a device that is plugged in; a new one each time, from 2 to 127."""
        return next(self._addresses)
