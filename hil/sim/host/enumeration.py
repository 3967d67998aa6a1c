"""Enumeration of a device that was plugged in: reset it, read its descriptors, configure it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator

from hil.sim.interfaces import Urb, UsbDevice

__all__ = ["ENUMERATION", "enumerate_device"]

ENUMERATION = "host"
"""Sender of the transfers of the enumeration."""

_GET_DESCRIPTOR = 6
_SET_CONFIGURATION = 9
_DEVICE = 1
_CONFIGURATION = 2
_DEVICE_BYTES = 18
_CONFIGURATION_BYTES = 9
_SETUP = struct.Struct("<BBHHH")

_Steps = Generator[bytes, bytes, bytes]


def enumerate_device(device: UsbDevice, done: Callable[[bytes], None]) -> None:
    """Reset and configure `device`, then call `done` with its device and configuration descriptors.

    If the device refuses a step, the descriptors are empty. If it never answers, `done` is never called.
    """
    device.reset()
    steps = _steps(device.identity.configuration_value)
    _submit(device, steps, next(steps), done)


def _steps(configuration_value: int) -> _Steps:
    of_device = yield _get_descriptor(_DEVICE, _DEVICE_BYTES)
    head = yield _get_descriptor(_CONFIGURATION, _CONFIGURATION_BYTES)
    whole = yield _get_descriptor(_CONFIGURATION, int.from_bytes(head[2:4], "little"))
    yield _SETUP.pack(0x00, _SET_CONFIGURATION, configuration_value, 0, 0)
    return of_device + whole


def _get_descriptor(kind: int, length: int) -> bytes:
    return _SETUP.pack(0x80, _GET_DESCRIPTOR, kind << 8, 0, length)


def _submit(device: UsbDevice, steps: _Steps, setup: bytes, done: Callable[[bytes], None]) -> None:
    def complete(status: int, data: bytes) -> None:
        if status:
            done(b"")
            return
        try:
            following = steps.send(data)
        except StopIteration as end:
            done(end.value)
        else:
            _submit(device, steps, following, done)

    length = int.from_bytes(setup[6:8], "little")
    device.submit(Urb(0, bool(setup[0] & 0x80), setup, b"", length, ENUMERATION, complete))
