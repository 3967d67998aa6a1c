"""The message of commands that take the stick from a running DUT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.lab.locks.lock_dir import lock_folder
from hil.lab.safe_state.record import read_record

if TYPE_CHECKING:
    from hil.dutlink.board import Board

__all__ = ["dut_runs_with_stick", "stick_lost_sentence"]


def dut_runs_with_stick(board: Board) -> bool:
    """Return True if the DUT draws current and, by the record, may have the stick.

    Call it before the mux moves, which changes the record.
    """
    return read_record(lock_folder(), board.serial).position not in {"host", "off"} and board.power.draws()


def stick_lost_sentence(done: str = "", *, is_back: bool = False) -> str:
    """Return the sentence for a running DUT.

    Args:
        done: What the command did to the stick, such as `written`.
        is_back: Whether the DUT has the stick again.
    """
    lost = f"The DUT runs and lost its stick{f' while it was {done}' if done else ''}"
    return f"{lost}: {'' if is_back else 'hil storage dut, then '}hil power cycle boots it again."
