"""How each USB fault is provoked: the same way on both worlds.

An act brings the fault about and returns the call that meets it; what it needs undone goes onto the stack.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import usb.util

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from tests.faults.worlds import World

__all__ = ["USB_ACTS"]

READ_VERSION = (0xC1, 4, 0, 3, 64)
UNKNOWN_REQUEST = (0x41, 99, 0, 3)
SERIAL_STRING = 3


def _stall(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    return partial(world.device(serial).ctrl_transfer, *UNKNOWN_REQUEST)


def _silence(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    device = world.device(serial)
    world.management.fault(serial, "hang")
    return partial(device.ctrl_transfer, *READ_VERSION, timeout=300)


def _pulled(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    device = world.device(serial)
    world.management.fault(serial, "hang")
    pull = threading.Timer(0.3, world.management.fault, (serial, "unplug"))
    pull.start()
    stack.callback(pull.join)
    return partial(device.ctrl_transfer, *READ_VERSION, timeout=20_000)


def _old_handle(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    device = world.device(serial)
    world.unplug(serial)
    return partial(device.ctrl_transfer, *READ_VERSION)


def _replugged(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    device = world.device(serial)
    world.unplug(serial)
    world.restore(serial)
    return partial(device.ctrl_transfer, *READ_VERSION)


def _reopened(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    device = world.device(serial)
    usb.util.dispose_resources(device)
    world.unplug(serial)
    return partial(device.ctrl_transfer, *READ_VERSION)


def _reopened_at_once(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    """Open it again and again until that fails: unplugging takes a few milliseconds."""
    device = world.device(serial)

    def reopen() -> None:
        world.management.fault(serial, "unplug")
        while True:
            usb.util.dispose_resources(device)
            device.ctrl_transfer(*READ_VERSION)

    return reopen


def _reopened_replugged(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    device = world.device(serial)
    usb.util.dispose_resources(device)
    world.unplug(serial)
    world.restore(serial)
    return partial(device.ctrl_transfer, *READ_VERSION)


def _line_error(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    device = world.device(serial)
    world.management.fault(serial, "line_error")
    return partial(device.ctrl_transfer, *READ_VERSION)


def _claimed(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    return partial(usb.util.claim_interface, world.device(serial), 0)


def _configured(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    return partial(world.device(serial).set_configuration)


def _denied(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    device = world.find(serial_number=serial)
    usb.util.dispose_resources(device)
    stack.enter_context(world.denied(serial))
    return partial(device.ctrl_transfer, *READ_VERSION)


def _string_of(world: World, serial: str) -> Callable[[], object]:
    """Read a string of a board that was found, but never asked for one."""
    device = next(one for one in world.find(find_all=True) if _has_serial(one, serial))
    usb.util.dispose_resources(device)
    device._langids = None  # pyusb keeps them
    return partial(usb.util.get_string, device, SERIAL_STRING)


def _denied_string(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    call = _string_of(world, serial)
    stack.enter_context(world.denied(serial))
    return call


def _gone_string(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    call = _string_of(world, serial)
    world.unplug(serial)
    return call


def _denied_find(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    stack.enter_context(world.denied(serial))
    return partial(world.find, serial_number=serial)


def _no_backend(world: World, _serial: str, stack: ExitStack) -> Callable[[], object]:
    stack.enter_context(world.no_backend())
    return world.find


def _no_board(world: World, _serial: str, _: ExitStack) -> Callable[[], object]:
    for one in world.serials:
        world.unplug(one)
    return world.find


def _has_serial(device: object, serial: str) -> bool:
    return str(usb.util.get_string(device, SERIAL_STRING)) == serial


USB_ACTS = {
    "stall": _stall,
    "silence": _silence,
    "pulled": _pulled,
    "old_handle": _old_handle,
    "replugged": _replugged,
    "reopened_at_once": _reopened_at_once,
    "reopened": _reopened,
    "reopened_replugged": _reopened_replugged,
    "line_error": _line_error,
    "claimed": _claimed,
    "configured": _configured,
    "denied": _denied,
    "denied_string": _denied_string,
    "gone_string": _gone_string,
    "denied_find": _denied_find,
    "no_backend": _no_backend,
    "no_board": _no_board,
}
