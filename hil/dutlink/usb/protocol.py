"""The wire protocol: ids, request numbers, pins and field sizes, as the firmware defines them.

Sources: control.rs (requests, values), config.rs (field sizes), main.rs and the boot loader's main.rs (ids).
"""

from __future__ import annotations

import enum

__all__ = [
    "CLOCK_MARGIN",
    "CONTROL_INTERFACE",
    "DFU_INTERFACE",
    "FIELD_SIZES",
    "MOST_DATA_BYTES",
    "REPLY_SIZE",
    "VENDOR_IN",
    "VENDOR_OUT",
    "ConfigKey",
    "Level",
    "Pin",
    "PinValue",
    "PowerAction",
    "ReadKey",
    "Request",
    "StateByte",
    "StorageAction",
    "UsbId",
]

VENDOR_OUT = 0x41
"""`bmRequestType` of a vendor request to an interface, host to device."""

VENDOR_IN = 0xC1
"""`bmRequestType` of a vendor request to an interface, device to host."""

CONTROL_INTERFACE = (0xFF, 0x01, 0x01)
"""Class, subclass, protocol of the interface that takes the requests (firmware: control.rs)."""

DFU_INTERFACE = (0xFE, 0x01, 0x02)
"""Class, subclass, protocol of a boot loader; the protocol of the running firmware's DFU interface is 01."""

MOST_DATA_BYTES = 256
"""Bytes that the board's control buffer holds (firmware: Cargo.toml, control-buffer-256).

According to the source of its USB stack (usb-device 0.3.2, control_pipe.rs), a request with more bytes stops
the board's USB until its power is cut. That was not tried on hardware, and such a request is never sent.
"""

REPLY_SIZE = 512
"""Bytes that every IN request asks for: more than any reply has.

The board's USB stack ends a reply of whole 64-byte packets with an empty packet, even if exactly that many
bytes were asked for. A host that has all its bytes would not read that packet, which would stay in the queue.
"""


CLOCK_MARGIN = 1.25
"""The longest real duration of a sequence, divided by its nominal one.

The firmware waits in a counted loop whose count was found by experiment.
"""


class UsbId(enum.IntEnum):
    """USB ids of a board: of its firmware, of its boot loader, and of its chip without either.

    The boot loader of releases 0.07 to 0.09 has the firmware's id, too; only the kernel log in its README
    shows `BOOT_LOADER`. `DFU_INTERFACE` tells it from the firmware.
    """

    VENDOR = 0x2B23
    FIRMWARE = 0x1012
    BOOT_LOADER = 0xE012
    CHIP_VENDOR = 0x0483
    CHIP_BOOT_LOADER = 0xDF11


class Request(enum.IntEnum):
    """`bRequest`."""

    REFRESH = 0
    POWER = 1
    STORAGE = 2
    CONFIG = 3
    READ = 4
    SET_PIN = 5


class PowerAction(enum.IntEnum):
    """`wValue` of `Request.POWER`."""

    OFF = 0
    ON = 1
    FORCE_OFF = 2
    FORCE_ON = 3
    RESCUE = 4


class StorageAction(enum.IntEnum):
    """`wValue` of `Request.STORAGE`."""

    OFF = 0
    HOST = 1
    DUT = 2


class ConfigKey(enum.IntEnum):
    """`wValue` of `Request.CONFIG`; the seventh field in flash, `json`, cannot be requested."""

    NAME = 0
    TAGS = 1
    USB_CONSOLE = 2
    POWER_ON = 3
    POWER_OFF = 4
    POWER_RESCUE = 5


class ReadKey(enum.IntEnum):
    """`wValue` of `Request.READ`."""

    VERSION = 0
    POWER = 1
    VOLTAGE = 2
    CURRENT = 3


class PinValue(enum.IntEnum):
    """`wValue` of `Request.SET_PIN`."""

    RESET = 0
    A = 1
    B = 2
    C = 3
    D = 4


class StateByte(enum.IntEnum):
    """The data byte of `Request.SET_PIN`."""

    LOW = 0
    HIGH = 1
    FLOATING = 2


FIELD_SIZES = {
    ConfigKey.NAME: 64,
    ConfigKey.TAGS: 256,
    ConfigKey.USB_CONSOLE: 64,
    ConfigKey.POWER_ON: 32,
    ConfigKey.POWER_OFF: 32,
    ConfigKey.POWER_RESCUE: 32,
}
"""The most bytes of each setting; the board silently cuts longer ones (firmware: config.rs)."""


class Pin(enum.StrEnum):
    """A control pin."""

    A = "a"
    B = "b"
    C = "c"
    D = "d"
    RESET = "reset"


class Level(enum.StrEnum):
    """The level of a pin.

    A pin that is set high while the supply is off stays floating until the supply is on, so that no current
    flows into an unpowered DUT. Low and floating take effect at once (firmware: ctlpins.rs).
    """

    LOW = "low"
    HIGH = "high"
    FLOATING = "floating"
