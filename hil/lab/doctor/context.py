"""What is examined: boards on a host, the machine they hang on, and what the lab file says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hil.dutlink.discovery import list_boards
from hil.dutlink.host import Host
from hil.lab.config.lab import Lab
from hil.lab.doctor.host_info import HostInfo
from hil.lab.safe_state.policy import Safety

if TYPE_CHECKING:
    from hil.dutlink.discovery import ProbeResult
    from hil.errors import UsageError
    from hil.lab.doctor.finding import Findings

__all__ = ["Check", "DoctorContext"]


@dataclass(frozen=True)
class DoctorContext:
    """All that a check may look at.

    Attributes:
        host: Where the boards are.
        host_info: This machine.
        lab: What the lab file says.
        lab_error: Why it cannot be read, if so.
        safety: How a board is made safe on this host.
        quick: Leave out what moves a mux.
        only: The serial number of the one board to look at; empty: all of them.
        folder: Where runs of this project are started; what they keep goes there.
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
    def sightings(self) -> list[ProbeResult]:
        """The boards on the host, each looked at once.

        Raises:
            NoUsbBackendError: libusb cannot be loaded.
            TransferError: The bus cannot be listed.
        """
        return [seen for seen in list_boards(self.host) if not self.only or seen.serial in {self.only, None}]


class Check(Protocol):
    """Looks at one thing of a bench."""

    def __call__(self, context: DoctorContext) -> Findings:
        """Yield what was found; raise `HilError` for what stood in the way."""
        ...
