"""USB descriptors of a device as plain data: an exporter sends them, a run hands them to pyusb."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, TypeAlias

__all__ = ["Descriptors", "Device", "as_namespace", "read_descriptors"]

Device: TypeAlias = Any  # pyusb ships no types
Descriptors: TypeAlias = dict[str, Any]

# Fields of the standard descriptors of the USB specification, by pyusb's names.
_DEVICE = (
    *("bLength", "bDescriptorType", "bcdUSB", "bDeviceClass", "bDeviceSubClass", "bDeviceProtocol"),
    *("bMaxPacketSize0", "idVendor", "idProduct", "bcdDevice", "iManufacturer", "iProduct"),
    *("iSerialNumber", "bNumConfigurations", "bus", "address", "port_number", "speed"),
)
_CONFIGURATION = (
    *("bLength", "bDescriptorType", "wTotalLength", "bNumInterfaces", "bConfigurationValue"),
    *("iConfiguration", "bmAttributes", "bMaxPower"),
)
_INTERFACE = (
    *("bLength", "bDescriptorType", "bInterfaceNumber", "bAlternateSetting", "bNumEndpoints"),
    *("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol", "iInterface"),
)
_ENDPOINT = (
    *("bLength", "bDescriptorType", "bEndpointAddress", "bmAttributes", "wMaxPacketSize", "bInterval"),
    *("bRefresh", "bSynchAddress"),
)


def read_descriptors(device: Device) -> Descriptors:
    """Return the descriptors of a pyusb device, which pyusb has without opening it.

    Raises:
        usb.core.USBError: The device has just left the bus.
    """
    return _fields(device, _DEVICE) | {
        "configurations": [
            _fields(configuration, _CONFIGURATION)
            | {
                "interfaces": [
                    _fields(interface, _INTERFACE)
                    | {"endpoints": [_fields(endpoint, _ENDPOINT) for endpoint in interface]}
                    for interface in configuration
                ]
            }
            for configuration in device
        ]
    }


def as_namespace(fields: Descriptors) -> SimpleNamespace:
    """Return one descriptor as an object with attributes, as a pyusb backend must."""
    plain = {name: value for name, value in fields.items() if not isinstance(value, list)}
    return SimpleNamespace(**plain, extra_descriptors=[])


def _fields(descriptor: Device, names: tuple[str, ...]) -> Descriptors:
    return {name: getattr(descriptor, name, None) for name in names}
