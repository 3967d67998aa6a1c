"""What became of a board that a run could not make safe and left to its guard, for the ledger to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.waiting import until
from hil.errors import HilError
from hil.lab.board_record import BoardState, read_record

if TYPE_CHECKING:
    from pathlib import Path

    from hil.lab.board_record import BoardRecord

__all__ = ["LOOK_S", "look_after"]

LOOK_S = 8.0
"""How long a guard may take before the run ends without its answer; the board's record has it later."""


def look_after(folder: Path, serial: str, wait_s: float = LOOK_S) -> tuple[bool, str]:
    """Return whether a board was made safe since its run left it, and what its record says of that.

    Args:
        folder: Where its record is.
        serial: The board.
        wait_s: How long its guard may take.
    """

    def settled() -> BoardRecord | None:
        record = read_record(folder, serial)
        return record if record.state is not BoardState.IN_USE else None

    try:
        record = until(settled, wait_s)
    except HilError:
        record = None
    if record is None or not record.events:
        return False, f"its guard goes on, `hil safe {serial}` tells how it ended"
    return record.state is BoardState.SAFE, str(record.events[-1])
