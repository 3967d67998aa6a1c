"""Power sequences: the little programs in a board's `power_on`, `power_off` and `power_rescue` settings.

    a b c d r + h l z    drive CTL_A to CTL_D or RESET high, low, or leave it floating
    w + digits           wait that many times 100 ms
    p1 p0                supply on, off
    ,                    nothing; for the eye

Letters in any case (firmware: ctlpins.rs). The board takes anything and skips what it does not know, so a
slip of the pen is a program that quietly does something else; `Sequence.parse` takes only what means what it
says. What a board already stores may be anything: `hil.dutlink.power.sequence_timing` follows it as the
firmware would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

from hil.dutlink.pin_names import Level, Pin
from hil.dutlink.power.sequence_timing import SIZE_BYTES
from hil.errors import SequenceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.dutlink.settings import Settings

__all__ = [
    "LONGEST_WAIT_TICKS",
    "SIZE_BYTES",
    "TICK_S",
    "Order",
    "PinOrder",
    "Sequence",
    "SupplyOrder",
    "WaitOrder",
    "same",
    "unlike",
]

TICK_S = 0.1
"""Seconds of one unit of `w`. A counted loop, tuned by trial: the real time may be off by some percent."""

LONGEST_WAIT_TICKS = 1301
"""3,300,000 cycles a tick in 32 bits: one more tick and the wait becomes a short one."""

_PINS = {"a": Pin.A, "b": Pin.B, "c": Pin.C, "d": Pin.D, "r": Pin.RESET}
_LEVELS = {"h": Level.HIGH, "l": Level.LOW, "z": Level.FLOATING}
_PIN_LETTERS = {pin: letter for letter, pin in _PINS.items()}
_LEVEL_LETTERS = {level: letter.upper() for letter, level in _LEVELS.items()}
_TOKEN = re.compile(r"([abcdr])([hlz])|w([0-9]+)|p([01])|,", re.IGNORECASE | re.ASCII)
_ALLOWED = "a b c d r with h l z, w with digits, p0 p1, commas"


@dataclass(frozen=True, slots=True)
class PinOrder:
    """Drive a pin, or leave it floating."""

    pin: Pin
    level: Level

    def __str__(self) -> str:
        return _PIN_LETTERS[self.pin] + _LEVEL_LETTERS[self.level]


@dataclass(frozen=True, slots=True)
class WaitOrder:
    """Wait `ticks` times 100 ms; meanwhile the board answers nothing."""

    ticks: int

    def __str__(self) -> str:
        return f"w{self.ticks}"


@dataclass(frozen=True, slots=True)
class SupplyOrder:
    """Switch the DUT's supply. On also drives every pin as it was last set; off floats those set high."""

    on: bool

    def __str__(self) -> str:
        return "p1" if self.on else "p0"


Order: TypeAlias = PinOrder | WaitOrder | SupplyOrder


@dataclass(frozen=True, slots=True)
class Sequence:
    """A power sequence that means what it says.

    Without orders it is an empty setting: then on and off switch the supply by themselves, and rescue
    switches it on.
    """

    orders: tuple[Order, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a sequence as a person wrote it.

        Raises:
            SequenceError: The board would cut, skip or misread a part of it; says where, what is allowed
                there and what was probably meant.
        """
        _check_size(text)
        orders: list[Order] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _error(text, position, _complaint(text, position), _mended(text))
            order = _order(text, match)
            if order is not None:
                orders.append(order)
            position = match.end()
        return cls(tuple(orders))

    def format(self) -> str:
        """Write it: `p1,aL,w5`, or without commas where they would not fit; the inverse of `parse`."""
        words = [str(order) for order in self.orders]
        spelled = ",".join(words)
        return spelled if len(spelled) <= SIZE_BYTES else "".join(words)

    def __str__(self) -> str:
        return self.format()

    @property
    def duration_s(self) -> float:
        """How long the board is busy with it, and silent, in seconds."""
        return sum(order.ticks for order in self.orders if isinstance(order, WaitOrder)) * TICK_S

    @property
    def pins(self) -> frozenset[Pin]:
        """The pins that it touches by name."""
        return frozenset(order.pin for order in self.orders if isinstance(order, PinOrder))

    @property
    def switches_supply(self) -> bool:
        """Whether it ever switches the supply; `on` with a sequence that does not leaves the DUT as it is."""
        return any(isinstance(order, SupplyOrder) for order in self.orders)

    @property
    def supply_after(self) -> bool | None:
        """How it leaves the supply: on, off, or (None) as it was."""
        switched = [order.on for order in self.orders if isinstance(order, SupplyOrder)]
        return switched[-1] if switched else None


def same(text: str, other: str) -> bool:
    """Whether two texts are one sequence, however they are spelt; flash wears, so a comma is no change."""
    try:
        return text == other or Sequence.parse(text) == Sequence.parse(other)
    except SequenceError:
        return False


def unlike(wanted: Mapping[str, str], stored: Settings) -> dict[str, str]:
    """Return those of the wanted sequences, by the name of their setting, that a board does not store."""
    return {name: text for name, text in wanted.items() if not same(text, getattr(stored, name))}


def _check_size(text: str) -> None:
    if not text.isascii():
        position = next(index for index, char in enumerate(text) if not char.isascii())
        raise _error(text, position, "only ASCII letters and digits mean something there")
    if len(text) > SIZE_BYTES:
        shorter = re.sub(r"[,\s]", "", text)
        raise _error(text, SIZE_BYTES, f"{len(text)} bytes; the board keeps {SIZE_BYTES}", shorter)


def _order(text: str, match: re.Match[str]) -> Order | None:
    pin, level, ticks, supply = match.groups()
    if pin is not None:
        return PinOrder(_PINS[pin.lower()], _LEVELS[level.lower()])
    if supply is not None:
        return SupplyOrder(supply == "1")
    if ticks is None:
        return None
    if int(ticks) > LONGEST_WAIT_TICKS:
        why = f"w{ticks} overflows the board's 32-bit counter: {LONGEST_WAIT_TICKS} is the most in one order"
        raise _error(text, match.start(), why, _split_wait(text, match, int(ticks)))
    return WaitOrder(int(ticks))


def _split_wait(text: str, match: re.Match[str], ticks: int) -> str:
    """The text with one long wait spelled as several; empty where that would be silly."""
    if ticks > LONGEST_WAIT_TICKS * SIZE_BYTES:
        return ""
    whole, rest = divmod(ticks, LONGEST_WAIT_TICKS)
    waits = [LONGEST_WAIT_TICKS] * whole + [rest] * bool(rest)
    return text[: match.start()] + ",".join(f"w{wait}" for wait in waits) + text[match.end() :]


def _complaint(text: str, position: int) -> str:
    letter = text[position].lower()
    if letter in _PINS:
        return f"{text[position]!r} needs a level behind it: h, l or z"
    if letter == "w":
        return "w needs digits behind it: tenths of a second"
    if letter == "p":
        return "p needs 1 or 0 behind it; anything else would cut the supply"
    return f"the board skips {text[position]!r} without a word"


def _mended(text: str) -> str:
    """What was probably meant: the text without white space and what no order begins or ends with."""
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
        Sequence.parse(text)
    except SequenceError:
        return False
    return True
