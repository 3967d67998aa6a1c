"""Power sequences: the programs in a board's `power_on`, `power_off` and `power_rescue` settings.

    a b c d r + h l z    drive CTL_A to CTL_D or RESET high, low, or leave it floating
    w + digits           wait that many times 100 ms
    p1 p0                supply on, off
    ,                    nothing; for legibility

Letters may have any case (firmware: ctlpins.rs). The board accepts any text and skips what it does not know,
so a typing error makes a program that silently does something else; `PowerSequence.parse` refuses such text.
For the bytes that a board stores already, see `hil.dutlink.power.sequence_duration`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self, TypeAlias

from hil.dutlink.power.sequence_duration import SIZE_BYTES
from hil.dutlink.usb.protocol import Level, Pin
from hil.errors import SequenceError

__all__ = [
    "LONGEST_WAIT_TICKS",
    "SIZE_BYTES",
    "TICK_S",
    "PinStep",
    "PowerSequence",
    "Step",
    "SupplyStep",
    "WaitStep",
    "is_same_sequence",
]

TICK_S = 0.1
"""Nominal seconds of one unit of `w`. The firmware counts in a loop, so the real time differs by some
percent."""

LONGEST_WAIT_TICKS = 1301
"""The longest wait: the firmware counts 3,300,000 cycles a tick in 32 bits, and a longer one overflows."""

_PINS = {"a": Pin.A, "b": Pin.B, "c": Pin.C, "d": Pin.D, "r": Pin.RESET}
_LEVELS = {"h": Level.HIGH, "l": Level.LOW, "z": Level.FLOATING}
_PIN_LETTERS = {pin: letter for letter, pin in _PINS.items()}
_LEVEL_LETTERS = {level: letter.upper() for letter, level in _LEVELS.items()}
_TOKEN = re.compile(r"([abcdr])([hlz])|w([0-9]+)|p([01])|,", re.IGNORECASE | re.ASCII)
_ALLOWED = "a b c d r with h l z, w with digits, p0 p1, commas"


@dataclass(frozen=True, slots=True)
class PinStep:
    """Drive a pin, or leave it floating."""

    pin: Pin
    level: Level

    def __str__(self) -> str:
        return _PIN_LETTERS[self.pin] + _LEVEL_LETTERS[self.level]


@dataclass(frozen=True, slots=True)
class WaitStep:
    """Wait `ticks` times 100 ms, while the board answers no request."""

    ticks: int

    def __str__(self) -> str:
        return f"w{self.ticks}"


@dataclass(frozen=True, slots=True)
class SupplyStep:
    """Switch the DUT's supply. On also drives every pin as it was last set; off floats pins that are high."""

    on: bool

    def __str__(self) -> str:
        return "p1" if self.on else "p0"


Step: TypeAlias = PinStep | WaitStep | SupplyStep


@dataclass(frozen=True, slots=True)
class PowerSequence:
    """A power sequence of which the board understands every letter.

    Without steps it is an empty setting: then on and off just switch the supply, and rescue switches it on.
    """

    steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a sequence that a user wrote.

        Raises:
            SequenceError: The board would cut, skip or misread a part of it. The error says which part, what
                is allowed there, and what was probably meant.
        """
        _check_size(text)
        steps: list[Step] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _error(text, position, _complaint(text, position), _mended(text))
            step = _step(text, match)
            if step is not None:
                steps.append(step)
            position = match.end()
        if text and not steps:
            why = "commas alone are a program that does nothing: it would not even switch the supply"
            raise SequenceError(f"power sequence {text!r} has no step", why=why, remedy="leave it empty")
        return cls(tuple(steps))

    def format(self) -> str:
        """Format it as `p1,aL,w5`, without commas if they would not fit; the inverse of `parse`."""
        words = [str(step) for step in self.steps]
        spelled = ",".join(words)
        return spelled if len(spelled) <= SIZE_BYTES else "".join(words)

    def __str__(self) -> str:
        return self.format()

    @property
    def duration_s(self) -> float:
        """Seconds for which the board runs it and answers no request."""
        return sum(step.ticks for step in self.steps if isinstance(step, WaitStep)) * TICK_S

    @property
    def pins(self) -> frozenset[Pin]:
        """The pins that it drives or floats by name."""
        return frozenset(step.pin for step in self.steps if isinstance(step, PinStep))

    @property
    def supply_after(self) -> bool | None:
        """Whether it leaves the supply on; None if it does not switch it, so that `on` changes nothing."""
        switched = [step.on for step in self.steps if isinstance(step, SupplyStep)]
        return switched[-1] if switched else None


def is_same_sequence(text: str, other: str) -> bool:
    """Return True if two texts mean the same sequence; flash wears out, so a comma is not worth a write."""
    try:
        return text == other or PowerSequence.parse(text) == PowerSequence.parse(other)
    except SequenceError:
        return False


def _check_size(text: str) -> None:
    if not text.isascii():
        position = next(index for index, char in enumerate(text) if not char.isascii())
        raise _error(text, position, "only ASCII letters and digits mean something there")
    if len(text) > SIZE_BYTES:
        shorter = re.sub(r"[,\s]", "", text)
        raise _error(text, SIZE_BYTES, f"{len(text)} bytes; the board keeps {SIZE_BYTES}", shorter)


def _step(text: str, match: re.Match[str]) -> Step | None:
    pin, level, ticks, supply = match.groups()
    if pin is not None:
        return PinStep(_PINS[pin.lower()], _LEVELS[level.lower()])
    if supply is not None:
        return SupplyStep(supply == "1")
    if ticks is None:
        return None
    if int(ticks) > LONGEST_WAIT_TICKS:
        why = f"w{ticks} overflows the board's 32-bit counter: {LONGEST_WAIT_TICKS} is the most in one step"
        raise _error(text, match.start(), why, _split_wait(text, match, int(ticks)))
    return WaitStep(int(ticks))


def _split_wait(text: str, match: re.Match[str], ticks: int) -> str:
    """Return the text with one long wait split into several; empty if they would not fit."""
    if ticks > LONGEST_WAIT_TICKS * SIZE_BYTES:
        return ""
    whole, rest = divmod(ticks, LONGEST_WAIT_TICKS)
    waits = [LONGEST_WAIT_TICKS] * whole + [rest] * bool(rest)
    return text[: match.start()] + ",".join(f"w{wait}" for wait in waits) + text[match.end() :]


def _complaint(text: str, position: int) -> str:
    letter = text[position].lower()
    if letter in _PINS:
        return f"{text[position]!r} needs a level after it: h, l or z"
    if letter == "w":
        return "w needs digits after it: tenths of a second"
    if letter == "p":
        return "p needs 1 or 0 after it; anything else would cut the supply"
    return f"the board skips {text[position]!r} without a word"


def _mended(text: str) -> str:
    """Return what was probably meant: the text without white space and letters that no step has."""
    return re.sub(r"[^abcdrhlzwp0-9,]", "", text, flags=re.IGNORECASE | re.ASCII)


def _error(text: str, position: int, why: str, mended: str = "") -> SequenceError:
    usable = mended not in ("", text) and _parses(mended)
    return SequenceError(
        f"power sequence {text!r} goes wrong at character {position + 1}",
        why=why,
        remedy=f"{mended!r}" if usable else f"use {_ALLOWED}",
    )


def _parses(text: str) -> bool:
    try:
        PowerSequence.parse(text)
    except SequenceError:
        return False
    return True
