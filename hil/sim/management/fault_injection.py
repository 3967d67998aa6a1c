"""Faults by name, as tests and `hil sim fault` request them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hil.errors import SimulatorError
from hil.nearest import nearest
from hil.sim.board.descriptors import BOARD_PRODUCT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hil.sim.slot import SimulatedSlot

__all__ = ["FAULT_NAMES", "FaultInjector", "check_fault"]

_Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Fault:
    """One kind of fault.

    Attributes:
        begin: Begins the fault, or ends it if the arguments are those of `end_arguments`.
        arguments: Argument names with their defaults; for a required argument, its type.
        end_arguments: Arguments that end the fault, or None if another fault ends it.
    """

    begin: Callable[[SimulatedSlot, _Arguments], None]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    end_arguments: _Arguments | None = None


def _boot_loader(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.enter_boot_loader(arguments["product_id"])


def _serial(slot: SimulatedSlot, arguments: _Arguments) -> None:
    serial = arguments["told"]
    if not (serial.isascii() and serial.isprintable()):
        raise SimulatorError(
            f"no serial number can be {serial!r}", remedy="printable ASCII, or empty for the board's own"
        )
    slot.set_reported_serial(serial)


def _stall(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.path_faults.stalls = arguments["count"]


def _line_error(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.path_faults.line_errors = arguments["count"]


def _hang(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.path_faults.hang = arguments["on"]
    if not arguments["on"]:
        slot.resume()


def _late(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.path_faults.late_s = arguments["seconds"]


def _garble(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.noise.garble_every = arguments["every"]


def _drop(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.noise.drop_every = arguments["every"]


def _deny(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.port.denied = arguments["on"]


def _deny_tty(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.tty.deny(arguments["on"])


def _no_backend(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.bus.no_backend = arguments["on"]


def _stick_error(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.stick.faults.failing = arguments["on"]
    slot.stick.faults.after_bytes = arguments["after_bytes"]


def _stick_flip(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.stick.faults.flip_every = arguments["every"]
    slot.stick.apply_faults()


def _stick_drop(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.stick.faults.drop_every = arguments["every"]
    slot.stick.apply_faults()


def _stick_counterfeit(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.stick.faults.real_bytes = arguments["real_bytes"]
    slot.stick.apply_faults()


def _stick_remove(slot: SimulatedSlot, arguments: _Arguments) -> None:
    if arguments["on"]:
        slot.stick.faults.pull_out(arguments["after_bytes"])
    else:
        slot.stick.faults.put_back()
    slot.stick.apply_faults()


def _stick_late(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.stick.late_s = arguments["seconds"]


def _stick_missing(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.stick.faults.missing = arguments["on"]
    slot.stick.apply_faults()


def _stick_model(slot: SimulatedSlot, arguments: _Arguments) -> None:
    slot.change_stick(arguments["told"] if arguments["on"] else None, arguments["empty_slots"])


def _of_dut(name: str) -> Callable[[SimulatedSlot, _Arguments], None]:
    return lambda slot, arguments: slot.dut.fault(name, arguments)


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_ON = {"on": True}
_OFF = {"on": False}

_FAULTS: dict[str, _Fault] = {
    "unplug": _Fault(lambda slot, _arguments: slot.unplug()),
    "replug": _Fault(lambda slot, _arguments: slot.plug()),
    "boot_loader": _Fault(_boot_loader, {"product_id": BOARD_PRODUCT_ID}),
    "serial": _Fault(_serial, {"told": str}, {"told": ""}),
    "stall": _Fault(_stall, {"count": 1}, {"count": 0}),
    "hang": _Fault(_hang, _ON, _OFF),
    "late": _Fault(_late, {"seconds": float}, {"seconds": 0.0}),
    "line_error": _Fault(_line_error, {"count": 1}, {"count": 0}),
    "garble": _Fault(_garble, {"every": int}, {"every": 0}),
    "drop": _Fault(_drop, {"every": int}, {"every": 0}),
    "deny": _Fault(_deny, _ON, _OFF),
    "deny_tty": _Fault(_deny_tty, _ON, _OFF),
    "no_backend": _Fault(_no_backend, _ON, _OFF),
    "stick_error": _Fault(_stick_error, {"on": True, "after_bytes": 0}, _OFF),
    "stick_flip": _Fault(_stick_flip, {"every": int}, {"every": 0}),
    "stick_drop": _Fault(_stick_drop, {"every": int}, {"every": 0}),
    "stick_counterfeit": _Fault(_stick_counterfeit, {"real_bytes": int}, {"real_bytes": 0}),
    "stick_remove": _Fault(_stick_remove, {"on": True, "after_bytes": 0}, _OFF),
    "stick_late": _Fault(_stick_late, {"seconds": float}, {"seconds": 0.0}),
    "stick_missing": _Fault(_stick_missing, _ON, _OFF),
    "stick_model": _Fault(_stick_model, {"told": "", "empty_slots": 0, "on": True}, _OFF),
    "sag": _Fault(_of_dut("sag"), {"volts": 4.5, "on": True}, _OFF),
    "hang_in_boot": _Fault(_of_dut("hang_in_boot"), _ON, _OFF),
    "stays_on": _Fault(_of_dut("stays_on"), _ON, _OFF),
}

FAULT_NAMES = tuple(_FAULTS)


class FaultInjector:
    """Begins and ends the faults of one slot, and lists the active ones."""

    def __init__(self, slot: SimulatedSlot) -> None:
        self._slot = slot
        self._active: dict[str, _Arguments] = {}

    def begin(self, name: str, given: _Arguments) -> None:
        """Begin or end a fault by name; raise SimulatorError if the name or an argument is wrong."""
        arguments = check_fault(name, given)
        fault = _FAULTS[name]
        fault.begin(self._slot, arguments)
        if fault.end_arguments is None:
            return
        self._active.pop(name, None)
        if not fault.end_arguments.items() <= arguments.items():
            self._active[name] = arguments

    def clear(self) -> None:
        """End all faults.

        Plug the board in again if it is unplugged, in its boot loader, or its USB has stopped.
        """
        for name in tuple(self._active):
            self.begin(name, _FAULTS[name].end_arguments or {})
        self._slot.bus.no_backend = False
        if not self._slot.plugged or self._slot.in_boot_loader or self._slot.usb_stopped:
            self._slot.plug()

    def active(self) -> dict[str, _Arguments]:
        """Return the active faults with their arguments; for counted ones, with the count that is left."""
        left = {"stall": self._slot.path_faults.stalls, "line_error": self._slot.path_faults.line_errors}
        active = {
            name: {"count": left[name]} if name in left else arguments
            for name, arguments in self._active.items()
            if left.get(name, True)
        }
        if not self._slot.plugged:
            active["unplug"] = {}
        if self._slot.in_boot_loader:
            active["boot_loader"] = {}
        if self._slot.usb_stopped:
            active["usb_stopped"] = {}
        return active


def check_fault(name: str, given: _Arguments) -> _Arguments:
    """Return all arguments of a fault, with defaults and converted types.

    Raises:
        SimulatorError: The name or an argument is wrong.
    """
    fault = _FAULTS.get(name)
    if fault is None:
        near = nearest(name, _FAULTS)
        raise SimulatorError(
            f"unknown fault {name!r}",
            remedy=f"did you mean {near}?" if near else "one of " + ", ".join(_FAULTS),
        )
    unknown = given.keys() - fault.arguments.keys()
    if unknown:
        known = ", ".join(fault.arguments) or "none"
        raise SimulatorError(
            f"the fault {name} takes no {', '.join(sorted(unknown))}", remedy=f"its arguments: {known}"
        )
    whole = {}
    for key, default in fault.arguments.items():
        kind = default if isinstance(default, type) else type(default)
        if key not in given and default is kind:
            raise SimulatorError(f"the fault {name} needs {key}", remedy=f"{key}=..., {_KINDS[kind]}")
        whole[key] = _converted(f"{key} of the fault {name}", kind, given.get(key, default))
    return whole


def _converted(label: str, kind: type, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise SimulatorError(f"{label} cannot be {value!r}", remedy=_KINDS[kind])
    if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
        raise SimulatorError(f"{label} cannot be {value!r}", remedy="0 or more")
    return value
