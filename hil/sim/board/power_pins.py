"""The supply switch, the control pins, and power sequences, which switch both (firmware: ctlpins.rs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from hil.sim.board.cpu import Delay, Task
from hil.sim.interfaces import ControlPin, PinLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Drive", "Instruction", "PowerPins", "Supply", "Wait", "is_empty", "parse_program"]

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


_ORDER: Final = (ControlPin.A, ControlPin.B, ControlPin.C, ControlPin.D, ControlPin.RESET)


class PowerPins:
    """Remembered and driven levels of the pins, and the supply.

    While the firmware considers the DUT off, a pin set high is only remembered, so that no current flows into
    the DUT. The firmware does not look at the supply for this: after an on-program it considers the DUT on,
    even if the program never switched the supply, and after an off-program off.

    Args:
        on_pin: Called when the driven level of a pin changes.
        on_supply: Called when the supply changes.
    """

    def __init__(
        self, on_pin: Callable[[ControlPin, PinLevel], None], on_supply: Callable[[bool], None]
    ) -> None:
        self._on_pin = on_pin
        self._on_supply = on_supply
        self.remembered = dict.fromkeys(_ORDER, PinLevel.FLOATING)
        self.driven = dict.fromkeys(_ORDER, PinLevel.FLOATING)
        self.supply = False
        self._considered_on = False

    def set(self, pin: ControlPin, level: PinLevel) -> None:
        """Remember a level, and drive it unless it is high and the DUT is considered off."""
        self.remembered[pin] = level
        if self._considered_on or level is not PinLevel.HIGH:
            self._drive(pin, level)

    def power_on(self, program: bytes) -> Task:
        """Restore the pins, then run a program. An empty program switches the supply on."""
        for pin, level in self.remembered.items():
            self._drive(pin, level)
        if is_empty(program):
            self._switch(on=True)
        else:
            yield from self._run(program)
        self._considered_on = True

    def power_off(self, program: bytes) -> Task:
        """Run a program, then float the pins last set high. An empty program floats them and switches off."""
        if is_empty(program):
            self._float_high_ones()
            self._switch(on=False)
        else:
            yield from self._run(program)
            self._float_high_ones()
        self._considered_on = False

    def lose_power(self) -> None:
        """Switch the supply off and float all pins, as a processor without power or in reset does."""
        self._switch(on=False)
        for pin in _ORDER:
            self._drive(pin, PinLevel.FLOATING)

    def _run(self, program: bytes) -> Task:
        steps = list(parse_program(program))
        later_s = sum(step.seconds for step in steps if isinstance(step, Wait))
        for step in steps:
            if isinstance(step, Wait):
                later_s -= step.seconds
                if step.seconds > 0:
                    yield Delay(step.seconds, max(0.0, later_s))
            else:
                yield from self._execute(step)

    def _execute(self, step: Instruction) -> Task:
        if isinstance(step, Drive):
            self._drive(step.pin, step.level)
        elif isinstance(step, Supply):
            yield from self.power_on(b"") if step.on else self.power_off(b"")

    def _float_high_ones(self) -> None:
        for pin, level in self.remembered.items():
            if level is PinLevel.HIGH:
                self._drive(pin, PinLevel.FLOATING)

    def _drive(self, pin: ControlPin, level: PinLevel) -> None:
        if self.driven[pin] is not level:
            self.driven[pin] = level
            self._on_pin(pin, level)

    def _switch(self, *, on: bool) -> None:
        if self.supply is not on:
            self.supply = on
            self._on_supply(on)
