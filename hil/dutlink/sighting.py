"""What one look at one device on the bus found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hil.dutlink.timing import Deadline
from hil.dutlink.usb.firmware import FirmwareVersion
from hil.errors import (
    BoardAbsentError,
    BoardInBootLoaderError,
    BoardLostError,
    BoardReplyError,
    BoardTimeoutError,
    HilError,
    RequestStalledError,
    TwinBoardsError,
    UnavailableError,
    Verdict,
)

if TYPE_CHECKING:
    from hil.dutlink.candidate import Candidate
    from hil.dutlink.usb.control_link import Link

__all__ = ["Reached", "Sighting", "reach_candidate"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look at a board found.

    Attributes:
        verdict: Whether it can be used, and if not, why.
        serial: Its serial number, which the kernel lists also of a board that is silent or may not be opened;
            None where neither kernel nor board tells.
        firmware: Its version; where it did not tell, what the bus listing says, without a commit.
        error: What opening it would raise; None when it is present.
        location: Where it is plugged in, for people; empty when it is not.
    """

    verdict: Verdict
    serial: str | None = None
    firmware: FirmwareVersion | None = None
    error: HilError | None = None
    location: str = ""


@dataclass(slots=True)
class Reached:
    """A sighting, and the link to the board if it is present. Whoever gets it lets go of it.

    Attributes:
        sighting: What was found.
        link: Open, if the board is present.
        silent: It did not answer in time, and may yet.
        leaving: It failed in a way that unplugging makes; another look tells more.
    """

    sighting: Sighting
    link: Link | None = None
    silent: bool = False
    leaving: bool = False

    @classmethod
    def failed(
        cls,
        error: HilError,
        serial: str | None,
        firmware: FirmwareVersion | None = None,
        location: str = "",
    ) -> Self:
        """Turn an error into a finding: what is listed but fails is lost, unless the error says more.

        A board that refuses, or answers what no board says, has answered: it is faulty; so are boards that
        cannot be told apart.
        """
        if isinstance(error, RequestStalledError | BoardReplyError | TwinBoardsError):
            return cls(Sighting(Verdict.FAULTY, serial, firmware, error, location))
        known = isinstance(error, UnavailableError) and not isinstance(error, BoardAbsentError)
        finding = error if known and isinstance(error, UnavailableError) else _lost(error, serial)
        sighting = Sighting(finding.verdict, serial, firmware, finding, location)
        silent = isinstance(error, BoardTimeoutError)
        return cls(sighting, silent=silent, leaving=finding.verdict is Verdict.LOST and not silent)

    def let_go(self) -> None:
        """Close the link, if there is one."""
        if self.link is not None:
            self.link.close()
            self.link = None


def reach_candidate(candidate: Candidate, limit_s: float) -> Reached:
    """Ask a device for its serial number and its version, within `limit_s` seconds altogether."""
    deadline = Deadline(limit_s)
    serial = candidate.listed_serial
    try:
        serial = candidate.read_serial(deadline.left_s)
        if not candidate.boot_loader:
            return _present(candidate, serial, deadline)
    except HilError as error:
        if not candidate.boot_loader:
            candidate.close()
            return Reached.failed(error, serial, candidate.firmware, candidate.location)
    candidate.close()
    return _in_boot_loader(candidate, serial)


def _present(candidate: Candidate, serial: str, deadline: Deadline) -> Reached:
    link = candidate.link(serial)
    try:
        firmware = FirmwareVersion.parse(link.answer(deadline.left_s))
    except (RequestStalledError, BoardReplyError):
        firmware = candidate.firmware  # an odd answer is an answer: the board is there
    return Reached(Sighting(Verdict.PRESENT, serial, firmware, location=candidate.location), link)


def _in_boot_loader(candidate: Candidate, serial: str | None) -> Reached:
    error = BoardInBootLoaderError(
        f"board {serial or 'at ' + candidate.location} is in its boot loader",
        why="it waits there for firmware and cannot run tests",
        remedy="replug it; if it comes back the same, flash its firmware with dfu-util",
        serial=serial,
    )
    return Reached(Sighting(error.verdict, serial, error=error, location=candidate.location))


def _lost(error: HilError, serial: str | None) -> BoardLostError:
    return BoardLostError(
        error.what, why=error.why, remedy=error.remedy, errno=error.errno, serial=error.serial or serial
    )
