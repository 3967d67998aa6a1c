"""What the checks of `hil doctor` get: this machine, the lab file, a host's boards, and one leased board."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hil.dutlink.discovery import list_boards
from hil.dutlink.host import Host
from hil.dutlink.power.power import OFF_AMPS
from hil.lab.config.lab import Lab
from hil.lab.doctor.host_info import HostInfo
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import BoardRecord, BoardState

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.board import Board
    from hil.dutlink.discovery import ProbeResult
    from hil.dutlink.settings import Settings
    from hil.errors import UsageError
    from hil.lab.doctor.finding import Findings
    from hil.lab.locks.lease import Lease

__all__ = ["BoardCheck", "BoardContext", "Check", "DoctorContext"]


@dataclass(frozen=True)
class DoctorContext:
    """All that a check may look at.

    Attributes:
        host: The host of the boards.
        host_info: This machine.
        lab: The lab file.
        lab_error: Why the lab file cannot be read; None if it can.
        safety: How a board is made safe on this host.
        quick: Skip checks that move a mux.
        only: The serial number of the one board to check; empty for all boards.
        folder: Where runs of this project start and keep their results.
    """

    host: Host = field(default_factory=Host)
    host_info: HostInfo = field(default_factory=HostInfo)
    lab: Lab = field(default_factory=Lab)
    lab_error: UsageError | None = None
    safety: Safety = field(default_factory=Safety)
    quick: bool = False
    only: str = ""
    folder: Path = field(default_factory=Path.cwd)

    @cached_property
    def probe_results(self) -> list[ProbeResult]:
        """The boards on the host, each probed once.

        Raises:
            NoUsbBackendError: libusb cannot be loaded.
            TransferError: The bus cannot be listed.
        """
        return [seen for seen in list_boards(self.host) if not self.only or seen.serial in {self.only, None}]


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


Check: TypeAlias = "Callable[[DoctorContext], Findings]"
"""Checks one thing of this machine, and yields findings; raises `HilError` if it cannot check."""

BoardCheck: TypeAlias = "Callable[[BoardContext], Findings]"
"""Checks one thing of a board, and yields findings; raises `HilError` if it cannot check."""
