"""Which firmware a board runs, and whether it is new enough."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from hil.errors import BoardReplyError, FirmwareTooOldError

__all__ = ["OLDEST", "FirmwareVersion", "check_firmware"]

_REPLY = re.compile(r"([0-9]{1,3})\.([0-9]{1,3}) git-ref: ?(\S*)\s*")
_SHOWN = 60


@dataclass(frozen=True, slots=True, order=True)
class FirmwareVersion:
    """A release such as `0.09`: the digits behind the dot count as a number, so 0.10 is newer.

    Attributes:
        major: Before the dot.
        minor: Behind the dot.
        git_ref: The commit it was built from; empty where only the bus listing was asked.
    """

    major: int
    minor: int
    git_ref: str = ""

    @classmethod
    def parse(cls, reply: bytes) -> Self:
        """Read the reply to a version request, such as `0.09 git-ref: 1a2b3c4`.

        Raises:
            BoardReplyError: It is anything else.
        """
        match = _REPLY.fullmatch(reply.rstrip(b"\0").decode("ascii", errors="replace"))
        if match is None:
            raise BoardReplyError(
                f"the board answered {reply[:_SHOWN]!r} when asked for its firmware version",
                why="firmware says it as 0.09 git-ref: 1a2b3c4",
                remedy="ask again; if it stays, replug the board or renew its firmware",
            )
        return cls(int(match[1]), int(match[2]), match[3])

    @classmethod
    def from_bcd(cls, bcd_device: int) -> Self:
        """Read `bcdDevice` of the device descriptor: 0x0009 is release 0.09 (firmware: version.rs)."""
        return cls(_decimal(bcd_device >> 8), _decimal(bcd_device & 0xFF))

    def format(self) -> str:
        """Write it as the board does; the inverse of `parse`."""
        return f"{self} git-ref: {self.git_ref}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor:02}"


def _decimal(bcd: int) -> int:
    """Two binary-coded decimal digits as the number they show."""
    return (bcd >> 4) * 10 + (bcd & 0x0F)


OLDEST = FirmwareVersion(0, 7)
"""The first release that speaks all requests this driver sends."""


def check_firmware(version: FirmwareVersion, serial: str) -> None:
    """Refuse a board whose firmware is older than `OLDEST`.

    Raises:
        FirmwareTooOldError: It is.
    """
    if (version.major, version.minor) < (OLDEST.major, OLDEST.minor):
        raise FirmwareTooOldError(
            f"board {serial} runs firmware {version}",
            why=f"this driver needs {OLDEST} or newer",
            remedy="flash a newer release with dfu-util, as the firmware's README says",
            serial=serial,
        )
