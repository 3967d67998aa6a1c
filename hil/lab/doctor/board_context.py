"""The board that a check of a board gets: leased and open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from hil.dutlink.power.power import OFF_AMPS
from hil.lab.safe_state.record import BoardRecord, BoardState

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.board import Board
    from hil.dutlink.settings import Settings
    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Findings
    from hil.lab.locks.lease import Lease

__all__ = ["BoardCheck", "BoardContext"]


@dataclass(frozen=True)
class BoardContext:
    """A leased and open board, and what a check needs to know about it.

    Attributes:
        board: The board.
        doctor: The context of all checks.
        record: The board's record.
        lease: The board's lease.
    """

    board: Board
    doctor: DoctorContext
    record: BoardRecord
    lease: Lease

    @property
    def serial(self) -> str:
        """The board's serial number."""
        return self.board.serial

    @cached_property
    def settings(self) -> Settings:
        """The settings that the board stores."""
        return self.board.settings.read()

    @cached_property
    def amps(self) -> float:
        """What the DUT draws, in amperes."""
        return self.board.power.read().amps

    @property
    def reason_to_skip(self) -> str:
        """Why the DUT must not notice the check; empty if it may."""
        if self.doctor.lab.leaves_alone(self.serial):
            return "the lab file says that its DUT is to be left alone"
        if abs(self.amps) >= OFF_AMPS:
            return f"its DUT is on ({self.amps:.2f} A) and would notice; hil power off, then again"
        if self.record.needs_safety and self.record.state is not BoardState.UNKNOWN:
            return f"it was not left safe; hil safe {self.serial}, then again"
        return ""


BoardCheck: TypeAlias = "Callable[[BoardContext], Findings]"
"""Checks one thing of a board, and yields findings; raises `HilError` if it cannot check."""
