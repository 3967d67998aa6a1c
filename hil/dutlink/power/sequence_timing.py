"""Compute how long a board is busy with a sequence that it stores, which may be any bytes.

`ControlLink.set_busy` makes a limit of that, which allows for the board's clock.

This follows the firmware's loop (firmware: ctlpins.rs) with its oddities: unknown bytes are skipped, `a` at
the end takes the padding as its level, and numbers wrap at 32 bits.
"""

from __future__ import annotations

__all__ = ["SIZE_BYTES", "leaves_supply_off", "stored_duration_s"]

SIZE_BYTES = 32
"""The size of the setting's field; the board cuts longer text (firmware: config.rs)."""

_CYCLES_A_TICK = 3_300_000
_CYCLES_A_SECOND = 33_000_000
_WRAP = 1 << 32
_TWO_BYTE_STEPS = b"abcdrp"


def stored_duration_s(stored: bytes) -> float:
    """Return the nominal seconds that the board waits in `stored`, the bytes of a power setting."""
    program = stored[:SIZE_BYTES].ljust(SIZE_BYTES, b"\0").lower()
    cycles = 0
    position = 0
    while position + 1 < len(program):
        letter = program[position]
        position += 1
        if letter == 0:
            break
        if letter in _TWO_BYTE_STEPS:
            position += 1
        elif letter == ord("w"):
            waited, position = _wait_cycles(program, position)
            cycles += waited
    return cycles / _CYCLES_A_SECOND


def leaves_supply_off(stored: bytes) -> bool:
    """Return True if running `stored`, the bytes of the power_off setting, certainly leaves the supply off.

    For an empty setting the board switches the supply off itself.
    """
    program = stored[:SIZE_BYTES].split(b"\0", 1)[0].lower()
    _, supply, level = program.rpartition(b"p")
    return level.startswith(b"0") if supply else not program


def _wait_cycles(program: bytes, position: int) -> tuple[int, int]:
    """Return the cycles of one wait whose digits begin at `position`, and where they end."""
    ticks = 0
    while position < len(program) and ord("0") <= program[position] <= ord("9"):
        ticks = (ticks * 10 + program[position] - ord("0")) % _WRAP
        position += 1
    return ticks * _CYCLES_A_TICK % _WRAP, position
