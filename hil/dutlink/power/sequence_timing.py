"""How long a board will be busy with a sequence that it stores, whatever that sequence is.

Follows the firmware's own loop (firmware: ctlpins.rs), slips included: unknown bytes are skipped, `a` at the
end takes the padding for its level, and numbers wrap at 32 bits.
"""

from __future__ import annotations

__all__ = ["SIZE_BYTES", "leaves_supply_off", "stored_duration_s"]

SIZE_BYTES = 32
"""The setting's field; the board cuts what is longer (firmware: config.rs)."""

_CYCLES_A_TICK = 3_300_000
_CYCLES_A_SECOND = 33_000_000
_WRAP = 1 << 32
_TWO_BYTE_ORDERS = b"abcdrp"


def stored_duration_s(stored: bytes) -> float:
    """Nominal seconds that the board waits in `stored`, a power setting's bytes with or without padding."""
    program = stored[:SIZE_BYTES].ljust(SIZE_BYTES, b"\0").lower()
    cycles = 0
    position = 0
    while position + 1 < len(program):
        order = program[position]
        position += 1
        if order == 0:
            break
        if order in _TWO_BYTE_ORDERS:
            position += 1
        elif order == ord("w"):
            waited, position = _wait_cycles(program, position)
            cycles += waited
    return cycles / _CYCLES_A_SECOND


def leaves_supply_off(stored: bytes) -> bool:
    """Return True if running `stored`, the bytes of the power_off setting, surely leaves the supply off.

    An empty one has the board switch the supply off by itself.
    """
    program = stored[:SIZE_BYTES].split(b"\0", 1)[0].lower()
    _, supply, level = program.rpartition(b"p")
    return level.startswith(b"0") if supply else not program


def _wait_cycles(program: bytes, position: int) -> tuple[int, int]:
    """Cycles of one wait order whose digits begin at `position`, and where they end."""
    ticks = 0
    while position < len(program) and ord("0") <= program[position] <= ord("9"):
        ticks = (ticks * 10 + program[position] - ord("0")) % _WRAP
        position += 1
    return ticks * _CYCLES_A_TICK % _WRAP, position
