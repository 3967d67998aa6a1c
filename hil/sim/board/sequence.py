"""The little programs that switch a DUT, as the board's interpreter reads them (firmware: ctlpins.rs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from hil.sim.interfaces import ControlPin, PinLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Drive", "Instruction", "Supply", "Wait", "is_empty", "parse_program"]

_PINS: Final = {
    ord("a"): ControlPin.A,
    ord("b"): ControlPin.B,
    ord("c"): ControlPin.C,
    ord("d"): ControlPin.D,
    ord("r"): ControlPin.RESET,
}
_LEVELS: Final = {ord("h"): PinLevel.HIGH, ord("l"): PinLevel.LOW}
_DIGITS: Final = b"0123456789"
_CYCLES_PER_STEP: Final = 3_300_000
_STEP_S: Final = 0.1
_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Drive:
    """Drive a pin, or let it float."""

    pin: ControlPin
    level: PinLevel


@dataclass(frozen=True, slots=True)
class Wait:
    """Keep the CPU busy for a time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Supply:
    """Switch the supply, with all that belongs to an empty program."""

    on: bool


Instruction: TypeAlias = Drive | Wait | Supply


def is_empty(program: bytes) -> bool:
    """Tell whether a setting holds no program: nothing, or a NUL at its start."""
    return program[:1] in {b"", b"\0"}


def parse_program(program: bytes) -> Iterator[Instruction]:
    """Read a program the way the firmware does, surprises included.

    A pin letter takes the next byte whatever it is, and anything but h and l lets the pin float; `p` takes
    the next byte too, and anything but 1 is off; an order never begins on the last byte; a NUL ends the
    program only where an order could begin; everything else is skipped.
    """
    at = 0
    while at + 1 < len(program):
        letter = _lower(program[at])
        operand = program[at + 1]
        at += 1
        if letter == 0:
            return
        if letter in _PINS:
            yield Drive(_PINS[letter], _LEVELS.get(_lower(operand), PinLevel.FLOATING))
            at += 1
        elif letter == ord("p"):
            yield Supply(on=operand == ord("1"))
            at += 1
        elif letter == ord("w"):
            count, at = _number(program, at)
            yield Wait((_CYCLES_PER_STEP * count & _U32) / _CYCLES_PER_STEP * _STEP_S)


def _number(program: bytes, at: int) -> tuple[int, int]:
    """Read digits into 32 bits that wrap; return the number and where it ended."""
    number = 0
    while at < len(program) and program[at] in _DIGITS:
        number = number * 10 + _DIGITS.index(program[at]) & _U32
        at += 1
    return number, at


def _lower(byte: int) -> int:
    return bytes((byte,)).lower()[0]
