"""The patterns that recognize lines of boot loaders and of systems."""

from __future__ import annotations

import enum
import re
from typing import Final

from hil.dutlink.dut.login_questions import LOGIN_PROMPT, PASSWORD

__all__ = ["Stage", "is_surely_of_system", "stage_begun_by", "stage_told_by"]


class Stage(enum.Enum):
    """The program of the DUT that printed the last recognized line since the DUT's last start."""

    UNKNOWN = "nothing that tells a boot loader from a system"
    STARTING = "the words of a system that restarts"
    LOADER = "a boot loader's words"
    COUNTDOWN = "a boot loader's countdown (autoboot)"
    SYSTEM = "a system's words"


def _any_of(*words: bytes) -> re.Pattern[bytes]:
    return re.compile(b"|".join(words))


_RESTART: Final = _any_of(
    rb"reboot: ",
    rb"Restarting system",
    rb"system is going down",
    rb"System is rebooting",
    rb"Requesting system reboot",
    rb"^Rebooting",
    rb"^resetting",
)
_SYSTEM: Final = _any_of(
    rb"^(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]{6}\]",
    rb"^\[ *(?:OK|FAILED|DEPEND|INFO|WARN) *\] ",
    rb"Starting kernel",
    rb"Uncompressing Linux",
    rb"Linux version ",
    rb"Booting Linux",
    rb"^Starting (?:version|systemd-udevd)",
    rb"^Welcome to (?!GRUB)",
    rb"systemd\[1\]",
    rb"^INIT: ",
    rb"^init: ",
    rb"procd: ",
    rb"activate this console",
    rb"Booting Zephyr",
    rb"NuttShell",
    rb"^Copyright \(c\) 1992-",
    rb"for maintenance",
    LOGIN_PROMPT,
    PASSWORD + rb"\Z",
)
_COUNTDOWN: Final = _any_of(
    rb"(?i:autoboot)",
    rb"(?i:any key)",
    rb"(?i:(?:press|hit) .{0,40}\bto (?:stop|abort|interrupt|enter|cancel|break|boot))",
    rb"(?i:boot(?:ing)? in [0-9]+)",
)
_LOADER: Final = _any_of(
    rb"U-Boot",
    rb"\bSPL\b",
    rb"barebox",
    rb"GRUB",
    rb"Trusted Firmware",
    rb"\bBL(?:[123]|31|32|33)\b",
    rb"coreboot",
    rb"EDK II",
    rb"BIOS",
    rb"UEFI",
    rb"RedBoot",
    rb"AT91Bootstrap",
    rb"(?i:rom ?boot|boot ?rom)",
    rb"ESP-ROM",
    rb"iPXE",
    rb"CFE version",
    rb"^(?:LP)?DDR",
    rb"^DRAM:",
    rb"^Training",
    rb"^Loading Environment",
)
_KERNEL_TIME: Final = rb"^(?:<[0-9]+>)?\[ *[0-9]+\.[0-9]{6}\]"
_SURELY_SYSTEM: Final = _any_of(_KERNEL_TIME, LOGIN_PROMPT)

_RESTART_BEGINS: Final = _any_of(
    _KERNEL_TIME + rb"(?:\[[^\]]*\])? *(?:reboot: |Restarting system)",
    rb"^reboot: ",
    rb"^Restarting system",
    rb"^(?:The )?system is going down",
    rb"^System is rebooting",
    rb"^Requesting system reboot",
    rb"^Rebooting\b",
    rb"^resetting\b",
)
_COUNTDOWN_BEGINS: Final = _any_of(
    rb"^(?i:(?:(?:hit|press)\b.{0,60}\b)?autoboot\b)",
    rb"^(?i:(?:hit|press)\b.{0,40}\bto (?:stop|abort|interrupt) boot)",
)
_LOADER_BEGINS: Final = _any_of(
    rb"^U-Boot (?:[ST]PL |VPL )?[0-9]{4}\.",
    rb"^barebox [0-9]{4}\.",
    rb"^ *Welcome to GRUB!",
    rb"^ *GNU GRUB +version",
    rb"^(?:NOTICE|INFO): +(?:BL[123]|Booting Trusted Firmware)",
    rb"^coreboot-[0-9v]",
    rb"^UEFI firmware \(version",
    rb"^SeaBIOS \(version",
    rb"^(?:RomBOOT|ESP-ROM:|AT91Bootstrap [0-9v]|RedBoot\(tm\)|CFE version|iPXE initialising)",
    rb"^(?:LP)?DDR (?:V(?:er(?:sion)?)? ?[0-9]|[0-9a-f]{8,})",
)
"""The first lines of boot loaders, which are the least likely ones in the output of a system."""


def stage_told_by(line: bytes) -> Stage | None:
    """Return the stage that a line shows if nothing is known of earlier lines, or None."""
    return _first_of(
        line,
        (Stage.STARTING, _RESTART),
        (Stage.SYSTEM, _SYSTEM),
        (Stage.COUNTDOWN, _COUNTDOWN),
        (Stage.LOADER, _LOADER),
    )


def stage_begun_by(line: bytes) -> Stage | None:
    """Return the stage that a line begins while a system runs, or None if the system may have printed it."""
    return _first_of(
        line,
        (Stage.STARTING, _RESTART_BEGINS),
        (Stage.COUNTDOWN, _COUNTDOWN_BEGINS),
        (Stage.LOADER, _LOADER_BEGINS),
    )


def is_surely_of_system(line: bytes) -> bool:
    """Return True if no boot loader prints such a line: a kernel's time, a login prompt."""
    return stage_told_by(line) is Stage.SYSTEM and _SURELY_SYSTEM.search(line) is not None


def _first_of(line: bytes, *words: tuple[Stage, re.Pattern[bytes]]) -> Stage | None:
    return next((stage for stage, pattern in words if pattern.search(line)), None)
