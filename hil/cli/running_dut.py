"""What a command says when it takes the stick from a DUT that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.lab.locks.lock_dir import lock_folder
from hil.lab.safe_state.record import read_record

if TYPE_CHECKING:
    from hil.dutlink.board import Board

__all__ = ["dut_runs_with_stick", "stick_lost_sentence"]


def dut_runs_with_stick(board: Board) -> bool:
    """Return True if the DUT draws current, and may have the stick: the record says nothing else.

    It is asked before the stick is turned, which changes the record.
    """
    return read_record(lock_folder(), board.serial).position not in {"host", "off"} and board.power.draws()


def stick_lost_sentence(done: str = "", *, is_back: bool = False) -> str:
    """Return the sentence for a DUT that runs.

    Args:
        done: What was done to the stick, such as `written`.
        is_back: Whether the DUT has the stick again.
    """
    lost = f"The DUT runs and lost its stick{f' while it was {done}' if done else ''}"
    return f"{lost}: {'' if is_back else 'hil storage dut, then '}hil power cycle boots it again."
