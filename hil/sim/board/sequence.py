"""Power sequences: programs that switch a DUT, parsed as the firmware does (firmware: ctlpins.rs)."""

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
    """Keep the processor busy for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Supply:
    """Switch the supply as an empty program does."""

    on: bool


Instruction: TypeAlias = Drive | Wait | Supply


def is_empty(program: bytes) -> bool:
    """Return True if a setting holds no program: it is empty or begins with a NUL."""
    return program[:1] in {b"", b"\0"}


def parse_program(program: bytes) -> Iterator[Instruction]:
    """Parse a program as the firmware does, with its surprises.

    A pin letter takes any next byte; other bytes than h and l let the pin float. `p` takes any next byte,
    too; other bytes than 1 mean off. No instruction begins on the last byte. A NUL ends the program only
    where an instruction could begin. All other bytes are skipped.
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
    """Parse digits into a number of 32 bits that overflows; return it and the index after it."""
    number = 0
    while at < len(program) and program[at] in _DIGITS:
        number = number * 10 + _DIGITS.index(program[at]) & _U32
        at += 1
    return number, at


def _lower(byte: int) -> int:
    return bytes((byte,)).lower()[0]
