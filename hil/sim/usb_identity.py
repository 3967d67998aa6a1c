"""What a bus listing shows of a USB device. Commands load this file, and not `hil.sim.interfaces`."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["UsbIdentity"]


class UsbIdentity(NamedTuple):
    """The part of a device's descriptors that a bus listing shows before the device is opened.

    Attributes:
        vendor_id: `idVendor`.
        product_id: `idProduct`.
        bcd_device: `bcdDevice`.
        device_class: Class, subclass, protocol of the device descriptor.
        interfaces: Class, subclass, protocol of each interface, in order of their numbers.
        speed: As Linux' `enum usb_device_speed`: 2 full, 3 high.
        configuration_value: `bConfigurationValue` of its only configuration.
    """

    vendor_id: int
    product_id: int
    bcd_device: int
    device_class: tuple[int, int, int]
    interfaces: tuple[tuple[int, int, int], ...]
    speed: int
    configuration_value: int = 1
