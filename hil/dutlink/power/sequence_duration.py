"""Compute how long a board is busy with a sequence that it stores, which may be any bytes.

`ControlLink.set_busy` makes the time limit of that, which allows for a slow clock of the board.

This follows the firmware's loop (firmware: ctlpins.rs) with its oddities: unknown bytes are skipped, `a` at
the end takes the padding as its level, and numbers wrap at 32 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SIZE_BYTES", "leaves_supply_off", "stored_duration_s", "unheard_s"]

SIZE_BYTES = 32
"""The size of the setting's field; the board cuts longer text (firmware: config.rs)."""

_CYCLES_A_TICK = 3_300_000
_CYCLES_A_SECOND = 33_000_000
_WRAP = 1 << 32
_TWO_BYTE_STEPS = b"abcdrp"
_WAIT, _SUPPLY, _ON = b"wp1"


def stored_duration_s(stored: bytes) -> float:
    """Return the nominal seconds that the board waits in `stored`, the bytes of a power setting."""
    return sum(cycles for letter, cycles in _steps(stored) if letter == _WAIT) / _CYCLES_A_SECOND


def unheard_s(stored: bytes) -> float:
    """Return the nominal seconds that the board waits in `stored` after it switched the supply on.

    The board passes on no console byte while it waits, so the DUT's output of these seconds is lost.
    """
    on, cycles = False, 0
    for letter, value in _steps(stored):
        if letter == _SUPPLY:
            on = value == _ON
        elif letter == _WAIT and on:
            cycles += value
    return cycles / _CYCLES_A_SECOND


def leaves_supply_off(stored: bytes) -> bool:
    """Return True if running `stored`, the bytes of the power_off setting, certainly leaves the supply off.

    For an empty setting the board switches the supply off itself; each level of `p` but 1 means off.
    """
    levels = [level for letter, level in _steps(stored) if letter == _SUPPLY]
    return levels[-1] != _ON if levels else not stored[:1].strip(b"\0")


def _steps(stored: bytes) -> Iterator[tuple[int, int]]:
    """Yield the letter of each step that the board runs, and its level, or the cycles of a wait."""
    program = stored[:SIZE_BYTES].ljust(SIZE_BYTES, b"\0").lower()
    position = 0
    while position + 1 < len(program) and program[position]:
        letter = program[position]
        position += 1
        if letter == _WAIT:
            cycles, position = _wait_cycles(program, position)
            yield letter, cycles
        elif letter in _TWO_BYTE_STEPS:
            yield letter, program[position]
            position += 1


def _wait_cycles(program: bytes, position: int) -> tuple[int, int]:
    """Return the cycles of one wait whose digits begin at `position`, and where they end."""
    ticks = 0
    while position < len(program) and ord("0") <= program[position] <= ord("9"):
        ticks = (ticks * 10 + program[position] - ord("0")) % _WRAP
        position += 1
    return ticks * _CYCLES_A_TICK % _WRAP, position
