"""The version of a board's firmware, and the oldest one that works."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from hil.errors import BoardReplyError, FirmwareTooOldError

__all__ = ["OLDEST", "FirmwareVersion", "check_firmware", "firmware_too_old", "flash_command"]

_REPLY = re.compile(r"([0-9]{1,3})\.([0-9]{1,3}) git-ref: ?(\S*)\s*")
_SHOWN = 60


class FirmwareVersion(NamedTuple):
    """A release such as `0.09`. The digits after the dot are a number, so 0.10 is newer than 0.09.

    Attributes:
        major: The number before the dot.
        minor: The number after the dot.
        git_ref: The commit that it was built from; empty if the version is from the bus listing.
    """

    major: int
    minor: int
    git_ref: str = ""

    @classmethod
    def parse(cls, reply: bytes) -> Self:
        """Parse the reply to a version request, such as `0.09 git-ref: 1a2b3c4`.

        Raises:
            BoardReplyError: The reply has another form.
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
        """Parse `bcdDevice` of the device descriptor: 0x0009 is release 0.09 (firmware: version.rs)."""
        return cls(_decimal(bcd_device >> 8), _decimal(bcd_device & 0xFF))

    def format(self) -> str:
        """Format it as the board does; the inverse of `parse`."""
        return f"{self} git-ref: {self.git_ref}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor:02}"


def _decimal(bcd: int) -> int:
    """Return the number that two binary-coded decimal digits show."""
    return (bcd >> 4) * 10 + (bcd & 0x0F)


OLDEST = FirmwareVersion(0, 8)
"""The first release with all requests of this driver: release 0.07 has no control interface (control.rs)."""


def check_firmware(version: FirmwareVersion, serial: str) -> None:
    """Check that the firmware is `OLDEST` or newer.

    Raises:
        FirmwareTooOldError: The firmware is older.
    """
    if (version.major, version.minor) < (OLDEST.major, OLDEST.minor):
        raise firmware_too_old(version, serial)


def flash_command(serial: str | None) -> str:
    """Return the command that writes firmware to a board in DFU mode (firmware: flash-dutlink.sh)."""
    which = f" -S {serial}" if serial else ""
    return f"dfu-util{which} -a 0 -s 0x08010000:leave -D jumpstarter.bin"


def firmware_too_old(version: FirmwareVersion, serial: str, why: str = "") -> FirmwareTooOldError:
    """Return the error of a board whose firmware is older than `OLDEST`, with a further reason, if any."""
    return FirmwareTooOldError(
        f"board {serial} runs firmware {version}",
        why=f"{f'{why}; ' if why else ''}this driver needs {OLDEST} or newer",
        remedy=f"flash a newer release: dfu-util -e -S {serial}, which starts the boot loader, then "
        f"{flash_command(serial)}",
        serial=serial,
    )
