"""What pyusb knows of a device without opening it, as plain data that travels to a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, TypeAlias

__all__ = ["Descriptors", "Device", "as_namespace", "read_descriptors"]

Device: TypeAlias = Any  # pyusb ships no types
Descriptors: TypeAlias = dict[str, Any]

# Fields of the USB specification's standard descriptors, as pyusb names them.
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
    """Tell a pyusb device's descriptors; raises what pyusb raises of one that just left."""
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


def as_namespace(facts: Descriptors) -> SimpleNamespace:
    """Return facts the way a pyusb backend hands them out."""
    plain = {name: value for name, value in facts.items() if not isinstance(value, list)}
    return SimpleNamespace(**plain, extra_descriptors=[])


def _fields(described: Device, names: tuple[str, ...]) -> Descriptors:
    return {name: getattr(described, name, None) for name in names}
