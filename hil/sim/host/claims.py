"""Claims of a device's interfaces by kernel drivers and processes of the simulated host."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from hil.sim.usbip.urbs import HostCall

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Claims"]

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
