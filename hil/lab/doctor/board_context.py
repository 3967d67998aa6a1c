"""One board that is held and open while it is examined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from hil.dutlink.power.power import OFF_AMPS
from hil.lab.safe_state.record import BoardRecord, BoardState

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.settings import Settings
    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Findings
    from hil.lab.locks.lease import Lease

__all__ = ["BoardCheck", "BoardContext"]


@dataclass(frozen=True)
class BoardContext:
    """A board under examination: leased and open.

    Attributes:
        board: It.
        doctor: What `hil doctor` examines.
        record: What is on record of it.
        lease: The right to it.
    """

    board: Board
    doctor: DoctorContext
    record: BoardRecord
    lease: Lease

    @property
    def serial(self) -> str:
        """Its serial number."""
        return self.board.serial

    @cached_property
    def settings(self) -> Settings:
        """What it stores."""
        return self.board.settings.read()

    @cached_property
    def amps(self) -> float:
        """What its DUT draws."""
        return self.board.power.read().amps

    @property
    def reason_to_leave_it(self) -> str:
        """Why its DUT must not notice anything; empty where it may."""
        if self.doctor.lab.leaves_alone(self.serial):
            return "the lab file says that its DUT is to be left alone"
        if abs(self.amps) >= OFF_AMPS:
            return f"its DUT is on ({self.amps:.2f} A) and would notice; hil power off, then again"
        if self.record.needs_safety and self.record.state is not BoardState.UNKNOWN:
            return f"it was not left safe; hil safe {self.serial}, then again"
        return ""


class BoardCheck(Protocol):
    """Looks at one thing of a board."""

    def __call__(self, context: BoardContext) -> Findings:
        """Yield what was found; raise `HilError` for what stood in the way."""
        ...
