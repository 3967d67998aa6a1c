"""What became of a board that a run could not make safe and left to its guard, for the ledger to tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.timing import until
from hil.errors import HilError
from hil.lab.safe_state.record import BoardState, read_record

if TYPE_CHECKING:
    from hil.lab.safe_state.record import BoardRecord
    from hil.suite.outcome.ledger import LeftBoard

__all__ = ["LOOK_S", "look_after"]

LOOK_S = 8.0
"""How long a guard may take before the run ends without its answer; the board's record has it later."""


def look_after(left: LeftBoard) -> tuple[bool, str]:
    """Return whether a board was made safe since a process left it, and what its record says of that.

    A later holder, such as another worker, got it safe.
    """

    def settled() -> BoardRecord | None:
        record = read_record(Path(left.folder), left.serial)
        return None if record.state is BoardState.IN_USE and not _has_another_holder(record, left) else record

    try:
        record = until(settled, left.wait_s)
    except HilError:
        record = None
    if record is None or not record.events:
        return False, f"its guard goes on, `hil safe {left.serial}` tells how it ended"
    is_safe = record.state in {BoardState.SAFE, BoardState.IN_USE}
    return is_safe, str(record.events[-1])


def _has_another_holder(record: BoardRecord, left: LeftBoard) -> bool:
    return record.holder is not None and record.holder.pid != left.pid
