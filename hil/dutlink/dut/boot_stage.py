"""Decide from a console's last lines whether a boot loader or a system runs, and whether Enter may be sent.

Any byte stops the countdown of a boot loader, even one that was sent before the countdown. So `login` sends
nothing until a system has printed something since the DUT's last start, or until the DUT has been silent for
longer than it is during any start.

The output of a command may look like a boot loader's: `UEFI is supported`. So after a system's own lines, or
after its shell has answered, only lines that begin a boot count until the next start.
"""

from __future__ import annotations

import enum
import re
import time
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.transcript import MarkKind
from hil.dutlink.dut.login_questions import LOGIN_PROMPT, PASSWORD
from hil.dutlink.dut.prompt import pattern_at_end
from hil.dutlink.dut.shell_escapes import KERNEL_TIME, last_line, without_escapes
from hil.dutlink.patterns.search import search

if TYPE_CHECKING:
    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = [
    "LOADER_SILENT_S",
    "SILENT_S",
    "Stage",
    "boot_prompt",
    "is_surely_of_system",
    "last_start",
    "may_press_enter",
    "stage_begun_by",
    "stage_of",
    "stage_told_by",
]


class Stage(enum.Enum):
    """The program of the DUT that printed the last recognized line since the DUT's last start."""

    UNKNOWN = "nothing that tells a boot loader from a system"
    STARTING = "the words of a system that restarts"
    LOADER = "a boot loader's words"
    COUNTDOWN = "a boot loader's countdown (autoboot)"
    SYSTEM = "a system's words"


def _any_of(*words: bytes) -> re.Pattern[bytes]:
    return re.compile(b"|".join(words))


_AT_KERNEL_TIME: Final = rb"^" + KERNEL_TIME

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
    _AT_KERNEL_TIME,
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
_SURELY_SYSTEM: Final = _any_of(_AT_KERNEL_TIME, LOGIN_PROMPT)

_RESTART_BEGINS: Final = _any_of(
    _AT_KERNEL_TIME + rb"(?:\[[^\]]*\])? *(?:reboot: |Restarting system)",
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


SILENT_S = 10.0
"""Seconds of silence after which a DUT that has printed nothing is assumed to wait at its login prompt."""

LOADER_SILENT_S = 30.0
"""The same if a boot loader printed last: memory training and loading images take long."""

_LOOKED_AT_BYTES: Final = 64 * 1024
_LOOKED_AT_OF_SHELL_BYTES: Final = 1024 * 1024
"""The same after a shell has answered, so that a boot since then is not missed."""

_NAMED_PROMPTS: Final = (
    ("U-Boot", rb"=> ?"),
    ("U-Boot", rb"(?i:[\w. -]*u-?boot[\w. -]*)[>#$]+ ?"),
    ("U-Boot", rb"(?:Zynq(?:MP)?|STM32MP|Marvell|Versal)>+ ?"),
    ("barebox", rb"barebox(?:@[^\n]*)?[:>#$/] ?"),
    ("GRUB", rb"grub(?: rescue)?> ?"),
    ("the UEFI shell", rb"(?:Shell|FS[0-9]+:[^\n]*)> ?"),
    ("RedBoot", rb"RedBoot> ?"),
    ("CFE", rb"CFE> ?"),
    ("iPXE", rb"iPXE> ?"),
    ("a boot loader", rb"(?:boot|rescue|loader|hush|Boot|LOADER|OK|ok)> ?|(?:OK|ok) "),
)
_PROMPTS: Final = tuple((name, re.compile(looks)) for name, looks in _NAMED_PROMPTS)
_OF_LOADER: Final = re.compile(rb"[^@~/:\n]{0,40}[>#$] ?")


def last_start(transcript: Transcript) -> int:
    """Return the position of the last start of the DUT (power, reset) that the transcript notes, or 0."""
    starts = [mark.position for mark in transcript.marks if mark.starts_dut]
    return starts[-1] if starts else 0


def stage_of(transcript: Transcript, prompt: Pattern) -> Stage:
    """Return how far the DUT has booted since the last start that the transcript notes.

    Args:
        transcript: The console's transcript.
        prompt: The pattern of the system's shell prompt.
    """
    start = last_start(transcript)
    is_logged_in = transcript.shell.system_at > start
    begin = max(start, transcript.position - _LOOKED_AT_BYTES)
    if is_logged_in:
        begin = max(transcript.shell.system_at, transcript.position - _LOOKED_AT_OF_SHELL_BYTES)
    said = without_escapes(_output_outside_commands(transcript, begin))
    stage = _last_stage(re.split(rb"[\r\n]+", said), is_logged_in=is_logged_in)
    if stage is Stage.UNKNOWN and search(pattern_at_end(prompt), said):
        return Stage.SYSTEM
    return stage


def boot_prompt(said: bytes, stage: Stage, *, is_named: bool = True) -> str | None:
    """Return the name of the boot loader whose prompt is the last line, or None.

    Args:
        said: The last bytes that the DUT printed.
        stage: How far the DUT has booted.
        is_named: Whether a prompt of a known boot loader counts in every stage.
    """
    line = last_line(said).rpartition(b"\r")[2]
    for name, looks in _PROMPTS if is_named else ():
        if looks.fullmatch(line):
            return name
    is_loader = stage in (Stage.LOADER, Stage.COUNTDOWN)
    return "a boot loader" if is_loader and _OF_LOADER.fullmatch(line) else None


def may_press_enter(transcript: Transcript, stage: Stage, limit_s: float) -> bool:
    """Return True if Enter cannot stop a boot loader: a system runs, or the DUT was silent for long enough.

    Args:
        transcript: The console's transcript.
        stage: How far the DUT has booted.
        limit_s: Seconds that the login may take in all.
    """
    match stage:
        case Stage.SYSTEM:
            return True
        case Stage.COUNTDOWN:
            return False
        case Stage.LOADER:
            return _silent_s(transcript) >= LOADER_SILENT_S
        case _:
            return _silent_s(transcript) >= min(SILENT_S, limit_s / 2)


def _output_outside_commands(transcript: Transcript, begin: int) -> bytes:
    """Return the bytes since a position, without the output of commands that ended."""
    pieces = []
    for first, last in transcript.shell.commands:
        if last > begin:
            pieces.append(transcript.between(begin, max(begin, first)))
            begin = last
    return b"".join([*pieces, transcript.between(begin)])


def _last_stage(lines: list[bytes], *, is_logged_in: bool) -> Stage:
    """Return the stage after these lines.

    Args:
        lines: The DUT's lines.
        is_logged_in: Whether a system's shell had answered before them.
    """
    stage, is_sure = (Stage.SYSTEM, True) if is_logged_in else (Stage.UNKNOWN, False)
    for line in lines:
        if is_sure:
            begun = stage_begun_by(line)
            stage, is_sure = (stage, True) if begun is None else (begun, False)
        else:
            stage = stage_told_by(line) or stage
            is_sure = is_surely_of_system(line)
    return stage


def _silent_s(transcript: Transcript) -> float:
    """Return the seconds since the DUT's last byte, its last start, or the opening of the console."""
    chunks = transcript.chunks_between(max(0, transcript.position - 1))
    times = [chunk.monotonic_s for chunk in chunks[-1:]]
    times += [
        mark.monotonic_s for mark in transcript.marks if mark.starts_dut or mark.kind is MarkKind.CONSOLE_OPEN
    ]
    return time.monotonic() - max(times, default=time.monotonic())
