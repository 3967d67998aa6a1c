"""What the checks of `hil doctor` look at: a host's boards, this machine, and the lab file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hil.dutlink.discovery import list_boards
from hil.dutlink.host import Host
from hil.lab.config.lab import Lab
from hil.lab.doctor.host_info import HostInfo
from hil.lab.safe_state.policy import Safety

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.discovery import ProbeResult
    from hil.errors import UsageError
    from hil.lab.doctor.finding import Findings

__all__ = ["Check", "DoctorContext"]


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


Check: TypeAlias = "Callable[[DoctorContext], Findings]"
"""Checks one thing of this machine, and yields findings; raises `HilError` if it cannot check."""
