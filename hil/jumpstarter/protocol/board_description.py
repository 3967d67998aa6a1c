"""What an exporter tells about its board, as plain data: client classes, USB descriptors, the wiring."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hil.dutlink.dut.account import Login

if TYPE_CHECKING:
    from hil.dutlink.wiring import Wiring

__all__ = [
    "ALLOWED_CLIENTS",
    "BOARD_CLIENT",
    "BOARD_CLIENTS",
    "PINS_CLIENT",
    "SETTINGS_CLIENT",
    "Descriptors",
    "Device",
    "apply_wiring",
    "as_namespace",
    "encode_wiring",
    "read_descriptors",
]

_MODULE: Final = "hil.jumpstarter.exporter.j_clients"
BOARD_CLIENT: Final = f"{_MODULE}.BoardClient"
BOARD_CLIENTS: Final = (BOARD_CLIENT, "hil.jumpstarter.clients.BoardClient")
"""The second is sent by exporters with a hil from before its modules moved; it goes in 0.2."""

PINS_CLIENT: Final = f"{_MODULE}.PinsClient"
SETTINGS_CLIENT: Final = f"{_MODULE}.SettingsClient"

ALLOWED_CLIENTS: Final = ["hil.jumpstarter.*", "jumpstarter_driver_*"]
"""Patterns of the client classes that a run imports at an exporter's word; it refuses all others."""

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


def encode_wiring(wiring: Wiring) -> dict[str, Any]:
    """Return the fields that mean the same on every host: all but the paths of device nodes."""
    return {
        "login": _encode_login(wiring.login) if wiring.login is not None else None,
        "up": wiring.up,
        "up_timeout_s": wiring.up_timeout_s,
        "pace_s": wiring.pace_s,
    }


def _encode_login(login: Login) -> dict[str, Any]:
    return {"user": login.user, "password": login.password.reveal(), "prompt": login.prompt}


def apply_wiring(wiring: Wiring, encoded: dict[str, Any]) -> Wiring:
    """Return the wiring with the fields that `encode_wiring` returned on the exporter."""
    login = Login(**encoded["login"]) if encoded["login"] is not None else None
    return wiring._replace(
        login=login, up=encoded["up"], up_timeout_s=encoded["up_timeout_s"], pace_s=encoded["pace_s"]
    )
